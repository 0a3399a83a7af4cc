//! Which route a call takes, found in time that does not grow with the number of routes.
//!
//! Among the routes that match, the most specific wins: host exact, then longest suffix, then `*`; within one host, path
//! exact, then longest prefix. The path is looked up in every plausible reading ([`crate::path`]): if two readings
//! lead to different routes, the call is refused rather than guessed.

use std::borrow::Cow;

use foldhash::fast::RandomState;

use crate::path::readings;
use crate::rejection::{Reason, Rejection, clipped};
use crate::settings::RouteSettings;

/// Index of a route in the settings that the table was made from.
pub type RouteIndex = usize;

/// Keys come from config alone; a caller's bytes are only looked up, so a fast hash is safe.
type HashMap<V> = std::collections::HashMap<Box<str>, V, RandomState>;

/// All routes, by host and path.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact_hosts: HashMap<PathTable>,
    /// Keyed by what follows the `*.`.
    suffix_hosts: HashMap<PathTable>,
    any_host: PathTable,
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
struct PathTable {
    exact: HashMap<RouteIndex>,
    /// Keyed by the path before `/*`: `/v1` for `/v1/*`, empty for `/*`.
    prefix: HashMap<RouteIndex>,
}

impl RouteTable {
    /// Builds the table.
    ///
    /// # Errors
    /// One line for each route whose host and path equal another's, or whose pattern is not one of the forms above.
    pub fn new(routes: &[RouteSettings]) -> Result<Self, Vec<String>> {
        let mut table = Self::default();
        let mut errors = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            if let Err(error) = table.insert(index, route) {
                errors.push(format!("route[{index}]: {error}"));
            }
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    fn insert(&mut self, index: RouteIndex, route: &RouteSettings) -> Result<(), String> {
        let host = route.host.to_ascii_lowercase();
        let paths = if host == "*" {
            &mut self.any_host
        } else if let Some(suffix) = host.strip_prefix("*.") {
            self.suffix_hosts.entry(suffix.into()).or_default()
        } else {
            self.exact_hosts.entry(host.as_str().into()).or_default()
        };
        if !route.path.starts_with('/') {
            return Err(format!("path: expected `/...` or `/.../*`, got `{}`", clipped(route.path.as_bytes(), 64)));
        }
        let previous = match route.path.strip_suffix("/*") {
            Some(prefix) => paths.prefix.insert(prefix.into(), index),
            None => paths.exact.insert(route.path.as_str().into(), index),
        };
        match previous {
            Some(other) => Err(format!("same host and path as route[{other}]")),
            None => Ok(()),
        }
    }

    /// The route of a call, if every reading of its path agrees on it.
    ///
    /// `authority` is the Host as sent: the port does not count, nor does case, nor one final dot.
    ///
    /// # Errors
    /// [`Reason::NoRoute`] if no reading has a route, [`Reason::PathAmbiguous`] if readings differ, and
    /// what [`readings`] refuses.
    pub fn find(&self, authority: &str, raw_path: &str) -> Result<RouteIndex, Rejection> {
        let host = normalized_host(authority);
        let mut found: Option<Option<RouteIndex>> = None;
        for reading in readings(raw_path)?.iter() {
            let route = self.find_reading(&host, reading);
            if *found.get_or_insert(route) != route {
                return Err(Rejection::with(
                    Reason::PathAmbiguous,
                    format!("readings of `{}` lead to different routes", clipped(raw_path.as_bytes(), 64)),
                ));
            }
        }
        found.flatten().ok_or_else(|| {
            Rejection::with(
                Reason::NoRoute,
                format!("no route for `{}{}`", clipped(host.as_bytes(), 64), clipped(raw_path.as_bytes(), 64)),
            )
        })
    }

    fn find_reading(&self, host: &str, path: &str) -> Option<RouteIndex> {
        if let Some(route) = self.exact_hosts.get(host).and_then(|paths| paths.find(path)) {
            return Some(route);
        }
        // `*.suffix` stands for one or more labels: the first label never counts, then ever shorter suffixes.
        let mut rest = if self.suffix_hosts.is_empty() { "" } else { host };
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(route) = self.suffix_hosts.get(suffix).and_then(|paths| paths.find(path)) {
                return Some(route);
            }
            rest = suffix;
        }
        self.any_host.find(path)
    }
}

impl PathTable {
    fn find(&self, path: &str) -> Option<RouteIndex> {
        if !self.exact.is_empty()
            && let Some(&route) = self.exact.get(path)
        {
            return Some(route);
        }
        if self.prefix.is_empty() {
            return None;
        }
        // `/v1/*` matches `/v1` itself, so the whole path is the first candidate.
        let mut candidate = path.strip_suffix('/').unwrap_or(path);
        loop {
            if let Some(&route) = self.prefix.get(candidate) {
                return Some(route);
            }
            // The asterisk-form of OPTIONS has no `/` and ends at the root prefix at once.
            candidate = match candidate.rfind('/') {
                Some(slash) => &candidate[..slash],
                None if candidate.is_empty() => return None,
                None => "",
            };
        }
    }
}

/// Lower case, without port and without the final dot of an absolute DNS name.
fn normalized_host(authority: &str) -> Cow<'_, str> {
    let host = match authority.rfind(':') {
        // An IPv6 literal keeps its brackets; a colon inside them is no port.
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Retry;

    fn table(routes: &[(&str, &str)]) -> RouteTable {
        let settings: Vec<RouteSettings> = routes
            .iter()
            .map(|(host, path)| RouteSettings {
                name: format!("{host}{path}"),
                host: (*host).into(),
                path: (*path).into(),
                upstream: 0,
                upstream_host: None,
                retry: Retry::Safe,
            })
            .collect();
        RouteTable::new(&settings).unwrap()
    }

    fn reason(result: Result<RouteIndex, Rejection>) -> Reason {
        result.unwrap_err().reason
    }

    #[test]
    fn a_prefix_matches_itself_and_everything_below_it() {
        let table = table(&[("a", "/v1/*")]);
        for path in ["/v1", "/v1/", "/v1/x", "/v1/x/y"] {
            assert_eq!(table.find("a", path), Ok(0), "{path}");
        }
        for path in ["/", "/v", "/v10", "/v2/v1"] {
            assert_eq!(reason(table.find("a", path)), Reason::NoRoute, "{path}");
        }
    }

    #[test]
    fn an_exact_path_matches_only_itself_and_wins() {
        let table = table(&[("a", "/v1"), ("a", "/v1/*"), ("a", "/v1/x/*"), ("a", "/*")]);
        assert_eq!(table.find("a", "/v1"), Ok(0));
        assert_eq!(table.find("a", "/v1/"), Ok(1));
        assert_eq!(table.find("a", "/v1/x/y"), Ok(2));
        assert_eq!(table.find("a", "/other"), Ok(3));
        assert_eq!(table.find("a", "*"), Ok(3));
    }

    #[test]
    fn the_most_specific_host_that_has_the_path_wins() {
        let table = table(&[("a.b.c", "/x"), ("*.b.c", "/*"), ("*.c", "/*"), ("*", "/*")]);
        assert_eq!(table.find("A.b.C:8080", "/x"), Ok(0));
        assert_eq!(table.find("a.b.c.", "/y"), Ok(1));
        assert_eq!(table.find("b.c", "/"), Ok(2));
        assert_eq!(table.find("z.y.c", "/"), Ok(2));
        assert_eq!(table.find("c", "/"), Ok(3));
        assert_eq!(table.find("[::1]:80", "/"), Ok(3));
    }

    #[test]
    fn readings_that_disagree_are_refused() {
        let table = table(&[("a", "/public/*"), ("a", "/admin/*")]);
        assert_eq!(reason(table.find("a", "/public/../admin")), Reason::PathAmbiguous);
        assert_eq!(reason(table.find("a", "/public/%2e%2e/admin")), Reason::PathAmbiguous);
        assert_eq!(table.find("a", "/public/a%2Fb"), Ok(0));
    }

    #[test]
    fn equal_routes_are_an_error_that_names_both() {
        let routes = [("A", "/x"), ("a", "/x")].map(|(host, path)| RouteSettings {
            name: String::new(),
            host: host.into(),
            path: path.into(),
            upstream: 0,
            upstream_host: None,
            retry: Retry::Safe,
        });
        assert_eq!(RouteTable::new(&routes).unwrap_err(), ["route[1]: same host and path as route[0]"]);
    }
}
