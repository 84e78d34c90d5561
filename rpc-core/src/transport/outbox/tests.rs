use super::*;
use crate::wire::{Kind, put_signal};
use std::{
    io::{IoSlice, Read},
    net::TcpListener,
    sync::{Arc, atomic::AtomicUsize},
    thread,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

/// A socket for an outbox, and its other end.
async fn pair() -> (Socket, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Socket::tcp(near).unwrap(), listener.accept().unwrap().0)
}

#[tokio::test]
async fn a_leader_that_is_put_aside_is_relieved_and_does_not_write_later() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.push(1)).unwrap().owner);
    let mut leader = std::pin::pin!(outbox.lead(&near));
    assert!(poll(leader.as_mut()).is_pending());
    assert!(!outbox.append(|out| out.push(2)).unwrap().owner);
    outbox.relieve();
    assert_eq!(outbox.leader(), 1, "it gets the time between two looks");
    outbox.relieve();
    let flusher = outbox.flusher(&near);
    tokio::select! {
        ended = flusher => panic!("{ended:?}"),
        () = outbox.flushed() => {}
    }
    assert!(outbox.append(|out| out.push(3)).unwrap().owner, "the flusher has given it back");
    leader.await;
    assert_eq!(outbox.unsent(), 1, "the owner of now writes, not the leader of then");
    outbox.write_or_leave(&near);
    let mut arrived = [0; 3];
    far.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, [1, 2, 3]);
}

#[tokio::test]
async fn what_is_left_to_the_next_is_written_by_it_or_when_there_is_none() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    let appends = |byte| outbox.append(|out| out.push(byte)).unwrap().owner;
    assert!(appends(1) && outbox.leave_to_next(3));
    assert!(appends(2), "it has no owner");
    assert!(outbox.leave_to_next(3) && appends(3));
    assert!(!outbox.leave_to_next(3), "it is enough");
    outbox.write_left(0, &near);
    assert_eq!(outbox.unsent(), 3, "it has an owner");
    outbox.write_or_leave(&near);
    assert_eq!(outbox.unsent(), 0);
    assert!(appends(4) && outbox.leave_to_next(9));
    outbox.write_left(2, &near);
    assert_eq!(outbox.unsent(), 1, "others are to come");
    outbox.write_left(1, &near);
    assert_eq!(outbox.unsent(), 0);
    assert!(appends(5) && outbox.leave_to_next(9));
    let _ = outbox.send_slices(&near, &[IoSlice::new(&[6])], 1, false).unwrap();
    assert_eq!(outbox.unsent(), 0, "slices take it along");
    assert!(appends(7) && outbox.leave_to_next(9));
    outbox.relieve();
    assert!(!appends(8), "it is the flusher's");
    tokio::select! {
        ended = outbox.flusher(&near) => panic!("{ended:?}"),
        () = outbox.flushed() => {}
    }
    let mut arrived = [0; 8];
    far.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, [1, 2, 3, 4, 5, 6, 7, 8]);
    let large = outbox.append(|out| out.resize(64 * 1024, 0)).unwrap();
    assert!(large.owner && !outbox.leave_to_next(9), "many bytes are worth a write");
}

#[tokio::test]
async fn every_write_is_counted() {
    let (near, _far) = pair().await;
    let outbox = Outbox::new();
    let before = lead::writes();
    assert!(outbox.append(|out| out.push(1)).unwrap().owner);
    outbox.write_or_leave(&near);
    let between = lead::writes();
    assert_ne!(between, before);
    let _ = outbox.send_slices(&near, &[IoSlice::new(&[2])], 1, false).unwrap();
    assert_ne!(lead::writes(), between);
}

#[tokio::test]
async fn slices_take_along_what_a_leader_has_gathered() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.push(1)).unwrap().owner);
    let mut leader = std::pin::pin!(outbox.lead(&near));
    assert!(poll(leader.as_mut()).is_pending());
    assert!(!outbox.append(|out| out.push(2)).unwrap().owner);
    let sent = outbox.send_slices(&near, &[IoSlice::new(&[3]), IoSlice::new(&[4])], 1, true);
    let sent = sent.unwrap();
    assert_eq!((sent.start, sent.end, sent.owner), (2, 4, false));
    assert_eq!(outbox.written(), 4, "nobody else was to be waited for");
    assert!(outbox.append(|out| out.push(5)).unwrap().owner, "it is given back");
    leader.await;
    assert_eq!(outbox.unsent(), 1, "the owner of now writes, not the leader of then");
    outbox.write_or_leave(&near);
    let mut arrived = [0; 5];
    far.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn what_the_socket_refuses_of_gathered_frames_and_slices_keeps_its_order() {
    const MANY: usize = 32 << 20;
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(MANY, 1)).unwrap().owner);
    let mut leader = Box::pin(outbox.lead(&near));
    assert!(poll(leader.as_mut()).is_pending());
    let (slice, end) = (vec![2; MANY], 2 * MANY as u64);
    let sent = outbox.send_slices(&near, &[IoSlice::new(&slice)], 1, false).unwrap();
    assert_eq!((sent.start, sent.end), (MANY as u64, end));
    assert!(outbox.unsent() > 0, "no socket takes as much");
    assert!(!outbox.append(|out| out.push(3)).unwrap().owner, "the flusher owns it");
    leader.await;
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        all
    });
    tokio::select! {
        ended = outbox.flusher(&near) => panic!("{ended:?}"),
        () = outbox.flushed() => {}
    }
    drop(near);
    let all = reader.join().unwrap();
    assert_eq!(all.len(), 2 * MANY + 1);
    assert!(all.is_sorted());
}

#[tokio::test]
async fn a_frame_is_taken_back_until_it_has_begun_to_leave() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    let put = |out: &mut Vec<u8>| put_signal(out, Kind::Request, 9);
    let gone = outbox.append(put).unwrap();
    outbox.write_or_leave(&near);
    assert!(!outbox.take_back(gone.start, gone.end), "the kernel has it");
    assert!(outbox.append(|out| out.resize(64 << 20, 0)).unwrap().owner);
    let behind = outbox.append(put).unwrap();
    // The socket refuses the rest of the first write.
    outbox.write_or_leave(&near);
    let later = outbox.append(put).unwrap();
    let stays = outbox.append(put).unwrap();
    assert!(outbox.take_back(behind.start, behind.end), "it is in what was refused");
    assert!(outbox.take_back(later.start, later.end), "it is in what was added since");
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        all
    });
    tokio::select! {
        ended = outbox.flusher(&near) => panic!("{ended:?}"),
        () = outbox.flushed() => {}
    }
    assert!(!outbox.take_back(stays.start, stays.end));
    drop(near);
    let all = reader.join().unwrap();
    let kinds = [(&gone, 1), (&behind, 0x80), (&later, 0x80), (&stays, 1)];
    for (sent, kind) in kinds {
        assert_eq!(all[usize::try_from(sent.start).unwrap() + 4], kind, "{sent:?}");
    }
}

#[tokio::test]
async fn the_flusher_ends_with_the_outbox_though_the_socket_stays_full() {
    let (near, _far) = pair().await;
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(64 << 20, 0)).unwrap().owner);
    outbox.leave();
    tokio::select! {
        ended = outbox.flusher(&near) => panic!("{ended:?}"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    outbox.leave();
    let flusher = timeout(Duration::from_secs(20), outbox.flusher(&near));
    let (ended, ()) = tokio::join!(flusher, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        outbox.close();
    });
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
}

#[tokio::test]
async fn who_waits_for_room_is_told_that_there_will_be_no_more_requests() {
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(ROOM, 0)).unwrap().owner);
    let room = timeout(Duration::from_secs(20), outbox.room());
    let (room, sealed) = tokio::join!(room, async { outbox.seal(|out| out.push(1)) });
    assert!(room.is_ok() && sealed.is_ok());
    assert_eq!(outbox.append_request(|_| ()).unwrap_err(), Ended::Sealed);
}

#[tokio::test]
async fn who_is_woken_and_put_aside_keeps_no_other_from_the_room() {
    let (near, mut far) = pair().await;
    let reader = thread::spawn(move || far.read_exact(&mut vec![0; ROOM]));
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(ROOM, 0)).unwrap().owner);
    let mut aside: Vec<_> = (0..100).map(|_| Box::pin(outbox.room())).collect();
    assert!(aside.iter_mut().all(|wait| poll(wait.as_mut()).is_pending()));
    let mut last = Box::pin(outbox.room());
    assert!(poll(last.as_mut()).is_pending());
    while !outbox.write(&near).unwrap() {
        near.writable().await.unwrap();
    }
    assert!(poll(last.as_mut()).is_pending(), "others are first, and will write");
    outbox.relieve();
    assert!(poll(last.as_mut()).is_ready());
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn one_write_lets_all_in_that_find_room_one_after_the_other() {
    let (near, mut far) = pair().await;
    let reader = thread::spawn(move || far.read_exact(&mut vec![0; ROOM]));
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(ROOM, 0)).unwrap().owner);
    let request = async || {
        outbox.room().await;
        let sent = outbox.append_request(|out| out.resize(out.len() + ROOM / 64, 0));
        outbox.pass_on();
        sent.is_ok()
    };
    let mut waits: Vec<_> = (0..100).map(|_| Box::pin(request())).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait.as_mut()).is_pending()));
    while !outbox.write(&near).unwrap() {
        near.writable().await.unwrap();
    }
    reader.join().unwrap().unwrap();
    let mut sent = 0;
    for _ in 0..100 {
        waits.retain_mut(|wait| match poll(wait.as_mut()) {
            std::task::Poll::Ready(is_sent) => {
                sent += usize::from(is_sent);
                false
            }
            std::task::Poll::Pending => true,
        });
    }
    assert_eq!(sent, 64, "as many as find room");
}

#[tokio::test]
async fn behind_what_the_socket_refuses_little_may_wait() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    let request = |length: usize| outbox.append_request(|out| out.resize(out.len() + length, 0));
    assert!(request(3 * ROOM).unwrap().owner);
    assert!(!outbox.write(&near).unwrap(), "it is not read");
    assert!(request(ROOM_BEHIND).is_ok());
    assert_eq!(request(1).unwrap_err(), Ended::Full);
    let mut room = Box::pin(outbox.room());
    assert!(poll(room.as_mut()).is_pending());
    let reader = thread::spawn(move || far.read_exact(&mut vec![0; 3 * ROOM + ROOM_BEHIND]));
    while !outbox.write(&near).unwrap() {
        near.writable().await.unwrap();
    }
    assert!(poll(room.as_mut()).is_ready());
    assert!(request(1).unwrap().owner);
    reader.join().unwrap().unwrap();
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn who_waits_for_much_to_leave_is_not_woken_by_each_write() {
    let (near, mut far) = pair().await;
    let outbox = Outbox::new();
    assert!(outbox.append(|out| out.resize(3 * ROOM, 0)).unwrap().owner);
    assert!(!outbox.write(&near).unwrap());
    let count = Arc::new(Count::default());
    let waker = Arc::clone(&count).into();
    let mut drained = Box::pin(outbox.drained());
    let mut wait = || drained.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    assert!(wait().is_pending());
    // Read from here, so that no write finds more than a little room.
    let (mut read, mut piece, mut writes) = (0, vec![0; 256 * 1024], 0);
    while outbox.unsent() >= defaults::MAX_UNSENT {
        assert_eq!(count.0.load(Ordering::SeqCst), 0, "after {writes} writes");
        read += far.read(&mut piece).unwrap();
        // The kernel makes room when it sees fit.
        let _ = timeout(Duration::from_millis(1), near.writable()).await;
        outbox.write(&near).unwrap();
        writes += 1;
    }
    assert!(writes > 2, "{writes}");
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(wait().is_ready());
    let reader = thread::spawn(move || far.read_exact(&mut vec![0; 3 * ROOM - read]));
    while !outbox.write(&near).unwrap() {
        near.writable().await.unwrap();
    }
    reader.join().unwrap().unwrap();
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_close_says_was_written_is_what_arrives() {
    for round in 0..300 {
        let (near, mut far) = pair().await;
        let (near, outbox) = (Arc::new(near), Arc::new(Outbox::new()));
        let reader = thread::spawn(move || {
            let (mut total, mut room) = (0, vec![0; 64 * 1024]);
            while let Ok(count @ 1..) = far.read(&mut room) {
                total += count as u64;
            }
            total
        });
        let writer = {
            let (near, outbox) = (Arc::clone(&near), Arc::clone(&outbox));
            thread::spawn(move || {
                while let Ok(sent) = outbox.append(|out| out.resize(out.len() + 100_000, 7)) {
                    if sent.owner {
                        while let Ok(false) = outbox.write(&near) {
                            thread::yield_now();
                        }
                    }
                }
            })
        };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(200 + round * 7) {
            thread::yield_now();
        }
        let written = outbox.close();
        writer.join().unwrap();
        assert_eq!(outbox.written(), written, "nothing is written after the end");
        drop(near);
        assert_eq!(reader.join().unwrap(), written);
    }
}
