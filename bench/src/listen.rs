//! Sockets as all peers have them: loopback, no delay.

use anyhow::Result;
use std::{
    io::{self, Write},
    net::SocketAddr,
};
use tokio::net::{TcpListener, TcpStream};

/// Listens on a free port of loopback and tells it to whoever started this process.
pub async fn bind() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// The first line of a server's output.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    writeln!(io::stdout(), "{address}")
}

pub async fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Gives each connection a task.
pub async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}
