//! Every store answers as the machine of one key does, step by step, to the same random steps.

mod cluster;
mod drafts;
mod groups;
mod memory;
mod redis;
mod scene;
mod sqlite;
