//! What the machine tells of this process, and what it can do at best.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The CPU time of this process so far; zero where the system does not tell it in `/proc`. It counts in hundredths of a
/// second.
pub(crate) fn cpu() -> Duration {
    cpu_of(std::process::id())
}

/// The same of another process.
pub(crate) fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Waits until a process has nothing left to do: a node takes what it holds into its search when nothing else is to be done.
pub(crate) async fn at_rest(process: u32) -> Result<()> {
    let start = Instant::now();
    loop {
        let before = cpu_of(process);
        tokio::time::sleep(Duration::from_secs(2)).await;
        if cpu_of(process).saturating_sub(before) <= Duration::from_millis(40) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(120), "process {process} is never at rest");
    }
}

/// The memory of this process that is in RAM, in bytes; zero where the system does not tell it in `/proc`.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Bytes and packets that went over loopback so far, headers included; zero where the system does not tell it in `/proc`.
pub(crate) fn loopback() -> (u64, u64) {
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let line = devices.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap_or_default();
    let mut received = line.split_whitespace().map(|number| number.parse().unwrap_or_default());
    (received.next().unwrap_or_default(), received.next().unwrap_or_default())
}

/// The time below which so many percent are.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// How long it takes to overwrite a page of a file and have it on disk.
pub(crate) fn fsync(disk: &Path, count: usize) -> Result<Vec<Duration>> {
    let path = disk.join("fsync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        file.rewind()?;
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(path)?;
    Ok(times)
}

/// How long a message there and back takes over loopback TCP.
pub(crate) async fn tcp_round_trip(count: usize) -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; 300];
        for _ in 0..count {
            stream.read_exact(&mut buffer).await?;
            stream.write_all(&buffer).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::with_capacity(count);
    let mut buffer = [7; 300];
    for _ in 0..count {
        let start = Instant::now();
        stream.write_all(&buffer).await?;
        stream.read_exact(&mut buffer).await?;
        times.push(start.elapsed());
    }
    echo.await.context("the echo")??;
    Ok(times)
}

/// How long so many bytes take over a bare loopback TCP connection.
pub(crate) async fn raw_copy(bytes: usize) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sender = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let chunk = vec![7; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(chunk.len());
            stream.write_all(chunk.get(..part).unwrap_or_default()).await?;
            left -= part;
        }
        stream.shutdown().await
    });
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let mut buffer = vec![0; 64 * 1024];
    while stream.read(&mut buffer).await? > 0 {}
    let took = start.elapsed();
    sender.await.context("the sender")??;
    Ok(took)
}
