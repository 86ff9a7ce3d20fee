//! Processor time and memory of other processes, from /proc.

use std::{fs, str::FromStr};

/// A process that is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pid: u32,
}

/// The kernel counts processor time in hundredths of a second, whatever its own tick.
const MICROS_PER_TICK: f64 = 10_000.0;

impl Watched {
    /// User and system time of all threads so far.
    pub(crate) fn cpu_micros(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * MICROS_PER_TICK
    }

    /// Its share of memory (Pss).
    pub(crate) fn memory_mib(&self) -> f64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid));
        let kib = rollup.unwrap_or_default().lines().find_map(|line| {
            line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<f64>().ok()
        });
        kib.unwrap_or_default() / 1024.0
    }
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("write name=pid")?;
        let pid = pid.parse().map_err(|_| "write name=pid".to_owned())?;
        Ok(Self { name: name.to_owned(), pid })
    }
}
