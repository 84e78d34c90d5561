//! One table for the run: calls per second of all, and this framework's ratios.

use super::{ratio, table::Table, thousands};
use crate::{cell::Figures, peers::Peer};
use std::fmt;

const RATIOS: &str = " raw-mux ÷ raw | rpc ÷ raw-mux | rpc ÷ best other | p50 ÷ raw-mux | CPU ÷ raw-mux \
| CPU ÷ best other |";

pub fn write(f: &mut fmt::Formatter<'_>, tables: &[Table], peers: &[Peer]) -> fmt::Result {
    write!(f, "\n| calls per second |")?;
    peers.iter().try_for_each(|peer| write!(f, " {peer} |"))?;
    let columns = peers.len() + RATIOS.matches('|').count();
    writeln!(f, "{RATIOS}\n|---|{}", "---:|".repeat(columns))?;
    for table in tables {
        write!(f, "| {} |", table.cell)?;
        for peer in peers {
            let per_second = table.figures(*peer).map(|figures| figures.requests_per_second);
            write!(f, " {} |", per_second.map_or_else(|| "–".to_owned(), thousands))?;
        }
        writeln!(f, " {} |", ratios(table).map(ratio).join(" | "))?;
    }
    Ok(())
}

fn ratios(table: &Table) -> [Option<f64>; 6] {
    let rpc = table.figures(Peer::Rpc);
    let mux = table.yardstick();
    let throughput = |f: &Figures| f.requests_per_second;
    let most = table.best_throughput();
    [
        quotient(table.figures(Peer::RawMux), table.figures(Peer::Raw), throughput),
        quotient(rpc, mux, throughput),
        rpc.map(throughput).zip(most).map(|(rpc, most)| rpc / most),
        quotient(rpc, mux, |f| f.p50_us),
        quotient(rpc, mux, Figures::cpu_seconds_per_million),
        rpc.zip(table.least_cpu()).map(|(rpc, least)| rpc.cpu_seconds_per_million() / least),
    ]
}

fn quotient(
    of: Option<&Figures>,
    by: Option<&Figures>,
    figure: impl Fn(&Figures) -> f64,
) -> Option<f64> {
    of.zip(by).map(|(of, by)| figure(of) / figure(by))
}
