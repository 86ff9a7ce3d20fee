//! Opening the listeners, with one clear line when that cannot be done.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Opens a listener on each address. A loopback address is opened in both families, because
/// `localhost` is either; the other family may be missing on this machine.
pub(crate) async fn open(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, String> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let listener = bind(*address).await?;
        let bound = listener.local_addr().map_err(|error| error.to_string())?;
        let twin = match bound.ip() {
            ip if ip == IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ip if ip == IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            _ => None,
        };
        listeners.push(listener);
        if let Some(twin) = twin
            && !addresses.contains(&SocketAddr::new(twin, bound.port()))
            && let Ok(listener) = TcpListener::bind(SocketAddr::new(twin, bound.port())).await
        {
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there; choose another port",
            std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "choose an address of this machine",
        };
        format!("cannot listen on {address}: {error}; {remedy}")
    })
}
