//! File statistics in Delta's JSON: written for new files, read for planning.

use super::actions::Add;

/// `numRecords` of a file's statistics.
///
/// Read without parsing the whole text, since a table's row count asks every file.
pub fn num_records(add: &Add) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Count {
        #[serde(rename = "numRecords")]
        num_records: Option<u64>,
    }
    let count: Count = serde_json::from_str(add.stats.as_deref()?).ok()?;
    count.num_records
}
