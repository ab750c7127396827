//! "Did you mean": the nearest known name, for tables, columns, models, functions and options.

/// The hint `Perhaps you meant the column "x".`, if a name is near enough.
pub fn hint<S: AsRef<str>>(kind: &str, wanted: &str, known: &[S]) -> Option<String> {
    nearest(wanted, known).map(|name| format!("Perhaps you meant the {kind} \"{name}\"."))
}

/// The known name nearest to `wanted`: at most a third of its letters differ, or one contains the other.
pub fn nearest<'a, S: AsRef<str>>(wanted: &str, known: &'a [S]) -> Option<&'a str> {
    let wanted_lower = wanted.to_lowercase();
    let bound = (wanted_lower.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let name = name.as_ref();
        let name_lower = name.to_lowercase();
        let mut distance = strsim::damerau_levenshtein(&wanted_lower, &name_lower);
        let long_enough = wanted_lower.len() >= 3 && name_lower.len() >= 3;
        if long_enough
            && (name_lower.starts_with(&wanted_lower) || wanted_lower.starts_with(&name_lower))
        {
            distance = distance.min(bound);
        }
        let closer = best.is_none_or(|(d, n)| (distance, name.len(), name) < (d, n.len(), n));
        if distance <= bound && closer {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["customers", "orders", "order_items"];
        assert_eq!(nearest("custmers", &names), Some("customers"));
        assert_eq!(nearest("ordres", &names), Some("orders"));
        assert_eq!(nearest("invoices", &names), None);
        assert_eq!(nearest("order", &names), Some("orders"));
    }
}
