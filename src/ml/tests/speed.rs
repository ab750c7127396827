//! How fast prediction and training are; run by hand in an optimised build, with the best of many batches and processor
//! time, so that other work on the machine does not count:
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test --lib ml::tests::speed -- --ignored --nocapture`.

use super::boosting::friedman;
use super::*;
use std::time::Instant;

/// Processor seconds of this process, all threads (Linux).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn measure<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), processor_seconds());
    let result = work();
    println!(
        "{what}: {:.2} s, processor {:.2} s",
        start.elapsed().as_secs_f64(),
        processor_seconds() - before
    );
    result
}

#[test]
#[ignore = "a measurement"]
fn prediction_and_training() {
    let data = friedman(20_000, 5);
    let forest = trained(data.clone(), Algorithm::GradientBoosting, "y", &["split = none"]);
    let plain = linear(data.clone(), "y", &["split = none"]);
    let columns: Vec<ArrayRef> = data[..10].iter().map(|c| c.1.slice(0, 8192)).collect();
    for (name, trained, repeats) in
        [("100 trees of depth 6", forest, 200), ("linear, 10 columns", plain, 5000)]
    {
        let mut best = f64::MAX;
        for _ in 0..repeats {
            let start = Instant::now();
            trained.model.predict(&columns, 8192).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name}: {:.2} million rows/s on one thread", 8192.0 / best / 1e6);
    }
    let big = friedman(1_000_000, 6);
    measure("linear regression of 1M x 10", || linear(big.clone(), "y", &["split = none"]));
    let given = ["split = none"];
    measure("boosting of 1M x 10, 100 x 6", || {
        trained(big, Algorithm::GradientBoosting, "y", &given)
    });
}
