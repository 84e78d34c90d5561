//! Socket options that every connection has.

use crate::defaults;
use socket2::{SockRef, TcpKeepalive};
use std::{io, time::Duration};
use tokio::net::TcpStream;

/// Sets what every connection needs: no delay for small frames, and an end for connections whose
/// peer has vanished. Keep-alive alone does not do that, since it rests while data is
/// unacknowledged; the user timeout alone does not either, since it rests while there is none.
///
/// # Errors
///
/// When the socket is gone already.
pub fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(defaults::TCP_USER_TIMEOUT))?;
    Ok(())
}
