//! What is counted, by name.

use crate::{
    Failure,
    contract::{Adding, CostClient, Echo},
    stage::{Scene, Stage, runtime},
};
use rpc_client::bench::{Choice, Table};
use rpc_core::{
    Balance, RpcProxy,
    codec::{Codec, scan},
    service::{BoundService, Registration, registrations},
    transport::Body,
    wire::{Header, Kind, next_frame, put_frame},
};
use std::{
    any::Any,
    hint::black_box,
    sync::Arc,
    task::{Context, Waker},
};

/// Frames in the buffer that is parsed.
const FRAMES: usize = 256;
/// Calls that are answered by one read.
const BATCH: usize = 64;

/// Something whose cost is known by how often it is done.
pub(crate) enum Item {
    Encode(Codec),
    Decode(Codec),
    Scan,
    /// A request's body to the reply's: arguments located, read, the method, its result written.
    Handle,
    Parse,
    Pick(Balance, u32),
    /// Places taken, answered in batches of so many.
    Table(usize),
    /// Whole calls, client and server, so many outstanding.
    Call(Scene, usize),
}

/// All there are.
pub(crate) fn all() -> Vec<(String, Item)> {
    let mut all = vec![
        ("encode/named".to_owned(), Item::Encode(Codec::Named)),
        ("encode/compact".to_owned(), Item::Encode(Codec::Compact)),
        ("decode/named".to_owned(), Item::Decode(Codec::Named)),
        ("decode/compact".to_owned(), Item::Decode(Codec::Compact)),
        ("scan/named".to_owned(), Item::Scan),
        ("handle".to_owned(), Item::Handle),
        ("parse".to_owned(), Item::Parse),
        ("table/1".to_owned(), Item::Table(1)),
        (format!("table/{BATCH}"), Item::Table(BATCH)),
    ];
    for &balance in Balance::ALL {
        for count in [3, 100, 10_000] {
            all.push((format!("pick/{balance}/{count}"), Item::Pick(balance, count)));
        }
    }
    let endpoints = |endpoints| Scene { endpoints, ..Scene::PLAIN };
    let scenes = [
        ("call/1", Scene::PLAIN, 1),
        ("call/64", Scene::PLAIN, 64),
        ("call/10000", Scene::PLAIN, 10_000),
        ("call/1/endpoints/10000", endpoints(10_000), 1),
        ("call/64/endpoints/100", endpoints(100), 64),
        ("call/64/endpoints/10000", endpoints(10_000), 64),
        ("call/64/services/1001", Scene { services: true, ..Scene::PLAIN }, 64),
        ("call/64/held/10000", Scene { held: 10_000, ..Scene::PLAIN }, 64),
    ];
    all.extend(scenes.map(|(name, scene, at_once)| (name.to_owned(), Item::Call(scene, at_once))));
    all
}

impl Item {
    /// Does it so often.
    pub(crate) fn run(&self, count: usize) -> Result<(), Failure> {
        match *self {
            Self::Encode(codec) => {
                let (message, mut out) = (Echo::new(), Vec::with_capacity(1024));
                for _ in 0..count {
                    out.clear();
                    codec.encode(black_box(&message), &mut out)?;
                }
                black_box(out);
            }
            Self::Decode(codec) => {
                let bytes = encoded(codec)?;
                for _ in 0..count {
                    black_box(codec.decode::<Echo>(black_box(&bytes))?);
                }
            }
            Self::Scan => {
                let bytes = encoded(Codec::Named)?;
                for _ in 0..count {
                    scan(black_box(&bytes))?;
                }
            }
            Self::Handle => handle(count)?,
            Self::Parse => parse(count)?,
            Self::Pick(balance, endpoints) => {
                fastrand::seed(4_711);
                let mut choice = Choice::new(balance, endpoints, true);
                for _ in 0..count {
                    black_box(choice.pick());
                }
            }
            Self::Table(calls) => {
                let runtime = runtime(true)?;
                runtime.block_on(Table::new())?.round_trips(count.div_ceil(calls), calls);
            }
            Self::Call(scene, outstanding) => {
                fastrand::seed(4_711);
                runtime(true)?.block_on(async {
                    let stage = Stage::set(scene).await?;
                    stage.calls(count, outstanding).await
                })?;
            }
        }
        Ok(())
    }
}

fn encoded(codec: Codec) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    codec.encode(&Echo::new(), &mut bytes)?;
    Ok(bytes)
}

/// As the server has it, without its connection.
fn handle(count: usize) -> Result<(), Failure> {
    let mut registered = registrations().into_iter();
    let ours = |r: &&'static Registration| r.meta().id == CostClient::SERVICE.id;
    let registration = registered.find(ours).ok_or("it is not registered")?;
    let instance: Arc<dyn Any + Send + Sync> = Arc::new(Adding);
    let service: Arc<dyn BoundService> = registration.bind(instance).ok_or("it does not fit")?;
    let methods = service.meta().methods;
    let echo = methods.iter().position(|m| m.name == "echo").ok_or("there is no such method")?;
    // The arguments by their names: one, which is the message.
    let mut request = vec![0x81, 0xa7];
    request.extend_from_slice(b"message");
    request.extend_from_slice(&encoded(Codec::Named)?);
    let cx = &mut Context::from_waker(Waker::noop());
    for _ in 0..count {
        let mut answer = service.call(echo, Body::copy_of(black_box(&request)), Codec::Named);
        if black_box(answer.as_mut().poll(cx)).is_pending() {
            return Err("an echo waits for nothing".into());
        }
    }
    Ok(())
}

/// Every whole frame of a read, from its header to its end.
fn parse(count: usize) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    for id in 0..FRAMES as u64 {
        let header = Header { kind: Kind::Reply, flags: 0, aux: 0, id };
        put_frame(&mut buffer, header, |out| out.extend_from_slice(&[7; 32]));
    }
    for _ in 0..count.div_ceil(FRAMES) {
        let mut rest = black_box(&buffer[..]);
        while let Some((header, payload, length)) = next_frame(rest)? {
            black_box((header, payload));
            rest = &rest[length..];
        }
    }
    Ok(())
}
