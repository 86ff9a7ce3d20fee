//! `GET /metrics` on a listener of its own: the numbers of the services of this process.

use auth_server::App as AuthServer;
use axum::{Router, routing::get};
use gateway::Gateway;

use crate::{deployment_file::File, listen, serve::Running};

/// Opens the listener, if the file has one.
pub(crate) async fn start(
    file: &File,
    running: &Running,
    auth: Option<AuthServer>,
    gateway: Option<Gateway>,
) -> Result<(), String> {
    if file.telemetry.metrics.is_empty() {
        return Ok(());
    }
    let listeners = listen::open(&file.telemetry.metrics).await?;
    let scrape = move || {
        let mut text = String::new();
        if let Some(auth) = &auth {
            auth.encode_metrics(&mut text);
        }
        if let Some(gateway) = &gateway {
            gateway.encode_metrics(&mut text);
        }
        std::future::ready(web::metrics::text(text))
    };
    let running = Running { tls: None, ..running.clone() };
    running.start(listeners, Router::new().route("/metrics", get(scrape)));
    Ok(())
}
