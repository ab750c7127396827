//! How fast prediction is; run by hand in a release build: `cargo test --release --lib ml::tests::speed -- --ignored --nocapture`.

use super::boosting::friedman;
use super::*;
use std::time::Instant;

#[test]
#[ignore = "a measurement"]
fn prediction() {
    let data = friedman(20_000, 5);
    let forest = trained(data.clone(), Algorithm::GradientBoosting, "y", &["split = none"]);
    let linear = linear(data.clone(), "y", &["split = none"]);
    let columns: Vec<ArrayRef> = data[..10].iter().map(|c| c.1.slice(0, 8192)).collect();
    for (name, trained, repeats) in [("100 trees of depth 6", forest, 100), ("linear, 10 columns", linear, 5000)] {
        let start = Instant::now();
        for _ in 0..repeats {
            trained.model.predict(&columns, 8192).unwrap();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name}: {:.2} million rows/s on one thread", 8192.0 * f64::from(repeats) / seconds / 1e6);
    }
    let start = Instant::now();
    let big = friedman(1_000_000, 6);
    println!("made 1M rows in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    super::linear(big.clone(), "y", &["split = none"]);
    println!("linear regression of 1M x 10 in {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    trained(big, Algorithm::GradientBoosting, "y", &["split = none"]);
    println!("boosting of 1M x 10, 100 x 6, in {:.2} s", start.elapsed().as_secs_f64());
}
