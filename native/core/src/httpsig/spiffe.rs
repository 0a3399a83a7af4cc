//! SPIFFE IDs: the names of workloads (SPIFFE-ID specification, section 2).

/// Longest SPIFFE ID, in bytes (section 2.3).
const MAX_BYTES: usize = 2048;
/// Longest trust domain name, in bytes (section 2.1).
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// Checks that `text` is the SPIFFE ID of a workload, `spiffe://trust-domain/path`.
///
/// # Errors
/// Which rule it breaks, as the end of a sentence about it.
pub fn spiffe_id(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("is longer than the 2048 bytes of a SPIFFE ID");
    }
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return Err("does not start with `spiffe://`");
    };
    let Some((trust_domain, path)) = rest.split_once('/') else {
        return Err("has no path after its trust domain: a workload is `spiffe://trust-domain/path`");
    };
    if trust_domain.is_empty() {
        return Err("has an empty trust domain");
    }
    if trust_domain.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err("has a trust domain of more than 255 bytes");
    }
    if trust_domain.contains(['@', ':']) {
        return Err("has user information or a port in its trust domain");
    }
    if !trust_domain.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')) {
        return Err("has a trust domain with something other than lower-case letters, digits, `.`, `-`, `_`");
    }
    if path.is_empty() || path.ends_with('/') {
        return Err("ends in a slash");
    }
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err("has an empty path segment");
        }
        if segment == "." || segment == ".." {
            return Err("has a path segment `.` or `..`");
        }
        if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
            return Err(
                "has a path with something other than letters, digits, `.`, `-`, `_`; no query, no fragment, no `%`",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workloads_id_is_accepted() {
        for id in ["spiffe://a/b", "spiffe://prod.example.org/ns/x/sa/Y_1", "spiffe://1.2_3-4/..."] {
            assert_eq!(spiffe_id(id), Ok(()), "{id}");
        }
        let longest = format!("spiffe://a/{}", "b".repeat(MAX_BYTES - 11));
        assert_eq!(spiffe_id(&longest), Ok(()));
    }

    #[test]
    fn whatever_breaks_a_rule_is_refused() {
        let too_long = format!("spiffe://a/{}", "b".repeat(MAX_BYTES - 10));
        let long_domain = format!("spiffe://{}/b", "a".repeat(256));
        for id in [
            "",
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///b",
            "SPIFFE://a/b",
            "https://a/b",
            "spiffe://A/b",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/..",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://u@a/b",
            "spiffe://a:1/b",
            "spiffe://a/b%41",
            "spiffe://a/\u{e9}",
            "spiffe://a/b c",
            &too_long,
            &long_domain,
        ] {
            assert!(spiffe_id(id).is_err(), "{id}");
        }
    }
}
