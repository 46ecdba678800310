//! What every page that a measurement writes has: the machine, the moment and the command at its head, and tables.

pub mod machine;
pub mod table;
