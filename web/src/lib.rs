//! What both services' HTTP needs: pages, forms, cookies, limits, the accept loop.
//!
//! Nothing here knows OAuth or MCP beyond the shape of their error bodies.

pub mod client_address;
pub mod cookie;
pub mod cors;
pub mod form;
#[cfg(test)]
mod fuzz;
pub mod gathered;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod quiet;
pub mod timer;
pub mod traces;
