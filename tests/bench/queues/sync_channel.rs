// SPDX-License-Identifier: Apache-2.0

//! Rust's std::sync::mpsc::sync_channel, asked for and answering as ../queue_run.h says. It has no batches. It has one
//! receiver, which several consumers share under a mutex.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "Rust-sync_channel";

type Total = (u64, u64);

fn produce(items: &SyncSender<usize>, batch: usize, stop: &AtomicBool) -> Total {
    let (mut count, mut sum) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..batch {
            count += 1;
            sum += count;
            items.send(count as usize).unwrap();
        }
    }
    (count, sum)
}

fn consume_alone(items: &Receiver<usize>) -> Total {
    items.iter().fold((0, 0), |(count, sum), item| (count + 1, sum + item as u64))
}

/// Up to a batch for each hold of the mutex.
fn consume_shared(items: &Mutex<Receiver<usize>>, batch: usize) -> Total {
    let (mut count, mut sum) = (0, 0);
    loop {
        let receiver = items.lock().unwrap();
        let Ok(first) = receiver.recv() else {
            return (count, sum);
        };
        count += 1;
        sum += first as u64;
        for item in receiver.try_iter().take(batch - 1) {
            count += 1;
            sum += item as u64;
        }
    }
}

fn add(totals: &[Total]) -> Total {
    totals.iter().fold((0, 0), |(count, sum), t| (count + t.0, sum + t.1))
}

fn run(producers: usize, consumers: usize, batch: usize, bound: usize, ms: u64) {
    let (sender, receiver) = sync_channel(bound);
    let stop = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(producers + consumers + 1));
    let shared = Arc::new(Mutex::new(receiver));
    let takers: Vec<_> = (0..consumers)
        .map(|_| {
            let (items, start) = (shared.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                if consumers == 1 {
                    consume_alone(&items.lock().unwrap())
                } else {
                    consume_shared(&items, batch)
                }
            })
        })
        .collect();
    let putters: Vec<_> = (0..producers)
        .map(|_| {
            let (items, start, stop) = (sender.clone(), start.clone(), stop.clone());
            thread::spawn(move || {
                start.wait();
                produce(&items, batch, &stop)
            })
        })
        .collect();
    drop(sender);
    start.wait();
    let began = Instant::now();
    thread::sleep(Duration::from_millis(ms));
    stop.store(true, Ordering::Relaxed);
    let put: Vec<Total> = putters.into_iter().map(|t| t.join().unwrap()).collect();
    let got: Vec<Total> = takers.into_iter().map(|t| t.join().unwrap()).collect();
    let ns = began.elapsed().as_nanos() as f64;
    assert_eq!(add(&put), add(&got));
    let least = put.iter().map(|t| t.0).min().unwrap() as f64;
    let most = put.iter().map(|t| t.0).max().unwrap() as f64;
    println!("{:.2} {:.3}", ns / add(&put).0 as f64, least / most);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() == 2 && args[1] == "--list" {
        println!("{NAME}");
        return;
    }
    assert!(args.len() == 8 && args[1] == "--run" && args[2] == NAME);
    let n: Vec<usize> = args[3..].iter().map(|a| a.parse().unwrap()).collect();
    run(n[0], n[1], n[2], n[3], n[4] as u64);
}
