//! Which cells and peers belong to each kind of run.

use crate::{cell::Cell, cores::Cores, load::Load, peers::Peer, work::Work};
use clap::Args;

/// The cells of `run`.
#[derive(Args, Clone, Debug)]
pub struct Grid {
    /// Bytes of payload.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 1024, 65536])]
    pub payloads: Vec<usize>,
    /// Calls outstanding. With 1, also pinned to one core.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512])]
    pub outstanding: Vec<usize>,
    /// Connections, as far as the caller decides.
    #[arg(long, default_value_t = 1)]
    pub conns: usize,
    /// What handlers do: none, spin:MICROS or sleep:MICROS.
    #[arg(long, default_value_t)]
    pub work: Work,
    /// Which cores the processes run on. Default: free, and with 1 outstanding also one.
    #[arg(long, value_delimiter = ',')]
    pub cores: Option<Vec<Cores>>,
}

impl Grid {
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &payload in &self.payloads {
            for &outstanding in &self.outstanding {
                let load = Load { payload, outstanding, conns: self.conns, large: 0, busy: 0 };
                let cores = self.cores(outstanding);
                cells.extend(cores.into_iter().map(|cores| Cell { load, work: self.work, cores }));
            }
        }
        cells
    }

    fn cores(&self, outstanding: usize) -> Vec<Cores> {
        match &self.cores {
            Some(cores) => cores.clone(),
            None if outstanding == 1 && Cores::can_pin() => vec![Cores::One, Cores::Free],
            None => vec![Cores::Free],
        }
    }
}

const SMALL: Load = Load { payload: 32, outstanding: 16, conns: 1, large: 0, busy: 0 };

/// Small calls alone, then beside two large ones without pause.
pub fn mixed() -> (Vec<Cell>, Vec<Peer>) {
    let alone = Cell { load: SMALL, work: Work::None, cores: Cores::Free };
    let beside = Cell { load: Load { large: 2, ..SMALL }, ..alone };
    (vec![alone, beside], frameworks_and(&[Peer::RawMux]))
}

/// Handlers that compute, over one connection.
pub fn compute() -> (Vec<Cell>, Vec<Peer>) {
    let load = Load { outstanding: 64, ..SMALL };
    let cell = Cell { load, work: Work::Spin(200), cores: Cores::Free };
    (vec![cell], frameworks_and(&[Peer::RawMux, Peer::RawMuxSpawn]))
}

/// Callers whose own runtime is busy.
pub fn busy() -> (Vec<Cell>, Vec<Peer>) {
    let cells = [1, 16].map(|outstanding| {
        let load = Load { outstanding, busy: 64, ..SMALL };
        Cell { load, work: Work::None, cores: Cores::Free }
    });
    (cells.to_vec(), frameworks_and(&[Peer::RawMux, Peer::RawMuxAtOnce]))
}

fn frameworks_and(yardsticks: &[Peer]) -> Vec<Peer> {
    let mut peers = vec![Peer::Rpc];
    peers.extend(yardsticks);
    peers.extend(Peer::MAIN.into_iter().filter(|peer| peer.is_other_framework()));
    peers
}
