//! Addresses that are not what a registry says of them.

use super::Lie;
use rpc_core::{
    discovery::InstanceId,
    transport::{Link, Network, ReadBuffer, Socket},
    wire::{Kind, Limits, Preface, next_frame, put_signal, read_preface},
};
use std::{io, net::SocketAddr};
use tokio::task::JoinSet;

/// Whoever answers at such addresses. Dropped, it closes all of them.
#[derive(Debug, Default)]
pub(super) struct Liar {
    listeners: JoinSet<()>,
}

impl Liar {
    /// The instance that each of them is listed as.
    pub(super) fn instance() -> Option<InstanceId> {
        InstanceId::from_u64(0xdead_beef)
    }

    /// Listens at `address` and does there what `lie` says; the address that it got.
    pub(super) async fn listen(
        &mut self,
        network: &Network,
        address: &str,
        lie: Lie,
    ) -> io::Result<SocketAddr> {
        let port = network.listen(address).await?;
        let addr = port.local_addr()?;
        if lie == Lie::Dead {
            return Ok(addr);
        }
        self.listeners.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((socket, _)) = port.accept().await {
                peers.spawn(serve(socket, lie));
                while peers.try_join_next().is_some() {}
            }
        });
        Ok(addr)
    }
}

async fn serve(socket: Socket, lie: Lie) {
    let link = Link::new(socket);
    let _ = match lie {
        Lie::Foreign => link.send(|out| out.extend_from_slice(b"SSH-2.0-OpenSSH_9.2p1\r\n")),
        Lie::Dead | Lie::Mute => Ok(()),
        Lie::Deaf | Lie::Stuck | Lie::HangsUp => {
            link.send(|out| Preface::new(Liar::instance(), Limits::default()).put(out))
        }
    };
    // What the socket refuses is written beside.
    tokio::select! {
        () = link.flush() => {}
        _ = listen_to(&link, lie) => {}
    }
    link.shutdown();
}

/// Reads until the peer ends or the lie does.
async fn listen_to(link: &Link, lie: Lie) -> io::Result<()> {
    let mut buffer = ReadBuffer::new();
    let mut greeted = false;
    while link.read(&mut buffer).await? > 0 {
        if !matches!(lie, Lie::Stuck | Lie::HangsUp) {
            buffer.consume(usize::MAX);
            continue;
        }
        if !greeted {
            let Some((_, length)) = read_preface(buffer.data()).map_err(io::Error::other)? else {
                continue;
            };
            buffer.consume(length);
            greeted = true;
        }
        while let Some((header, _, length)) = next_frame(buffer.data()).map_err(io::Error::other)? {
            buffer.consume(length);
            match header.kind {
                Kind::Ping => {
                    let _ = link.send(|out| put_signal(out, Kind::Pong, header.id));
                }
                Kind::Request if lie == Lie::HangsUp => return Ok(()),
                _ => {}
            }
        }
    }
    Ok(())
}
