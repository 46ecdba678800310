//! Makes cargo build the crate anew when a migration is added: the macro that embeds them can't.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
