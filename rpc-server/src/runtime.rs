//! Whether the runtime that a server is started on has what it needs.

use rpc_core::SetupError;
use std::{net::Ipv4Addr, panic::catch_unwind, time::Duration};
use tokio::{net::TcpListener, runtime::Handle, time::sleep};

/// Looks at the runtime of the caller. Sockets are asked for only `with_io`.
///
/// A runtime does not say what it lacks but by a panic, so one is provoked here, where it does no
/// harm; the panic hook of the program reports it beside the error.
///
/// # Errors
///
/// What is missing, and what to write.
pub(crate) fn check(with_io: bool) -> Result<(), SetupError> {
    if Handle::try_current().is_err() {
        return Err(SetupError::new("a server is started within a tokio runtime"));
    }
    let lacks = |what| {
        Err(SetupError::new(format!(
            "the tokio runtime has no {what}: build it with .enable_all(), or use #[tokio::main]"
        )))
    };
    if catch_unwind(|| drop(sleep(Duration::ZERO))).is_err() {
        return lacks("timer");
    }
    if with_io && catch_unwind(open_socket).is_err() {
        return lacks("I/O driver");
    }
    Ok(())
}

/// Opens a socket. That it fails is not looked at here: binding the real one tells more.
fn open_socket() {
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    if let Ok(socket) = socket
        && socket.set_nonblocking(true).is_ok()
    {
        drop(TcpListener::from_std(socket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    #[test]
    fn what_a_runtime_lacks_is_told() {
        let told = |builder: &mut Builder, with_io| {
            let runtime = builder.build().unwrap();
            runtime.block_on(async { check(with_io).err().map(|error| error.to_string()) })
        };
        let text = told(&mut Builder::new_current_thread(), true).unwrap();
        assert!(text.contains("no timer: build it with .enable_all()"), "{text}");
        let text = told(Builder::new_current_thread().enable_time(), true).unwrap();
        assert!(text.contains("no I/O driver"), "{text}");
        assert_eq!(told(Builder::new_current_thread().enable_time(), false), None);
        assert_eq!(told(Builder::new_multi_thread().worker_threads(1).enable_all(), true), None);
        let text = check(true).unwrap_err().to_string();
        assert!(text.contains("within a tokio runtime"), "{text}");
    }
}
