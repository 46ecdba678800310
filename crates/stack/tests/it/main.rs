//! The real components on free ports, and the launcher as a user meets it.

mod components;
mod launcher;
mod pipeline;
mod way;
