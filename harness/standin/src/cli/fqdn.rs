//! Subcommands about names.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use tokio::time::timeout;

use super::{PATIENCE, failed};
use crate::agent::api::{Reply, Request, ask};
use crate::fqdn::precache;
use crate::identity::migrate::Log;
use crate::policy::model::Policy;

/// Lists what the DNS proxy knows, as a table.
pub(super) async fn cache_list(socket: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    let problem = match timeout(PATIENCE, ask(socket, &Request::Names)).await {
        Ok(Ok(Reply::Names { of })) => {
            writeln!(out, "{:<40}{:<56}{:<10}{:<32}IPs", "Endpoint", "FQDN", "TTL", "ExpirationTime")?;
            for (endpoint, names) in &of {
                for entry in names.entries() {
                    let ips: Vec<_> = entry.ips.iter().map(ToString::to_string).collect();
                    let until = entry.expiration_time.to_string();
                    let ips = ips.join(",");
                    writeln!(out, "{endpoint:<40}{:<56}{:<10}{until:<32}{ips}", entry.fqdn, entry.ttl)?;
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Ok(Reply::NotReady { reason } | Reply::Failed { reason })) => reason,
        Ok(Ok(other)) => format!("the agent answered {other:?}"),
        Ok(Err(error)) => format!("the agent cannot be reached at {}: {error}", socket.display()),
        Err(_) => "the agent did not answer in time".to_owned(),
    };
    writeln!(out, "Error: {problem}")?;
    Ok(ExitCode::FAILURE)
}

/// Copies the running agent's addresses of names for its successor.
pub(super) async fn poller(socket: &Path, options: &[&str], out: &mut impl Write) -> io::Result<ExitCode> {
    let path = option(options, "--tofqdns-pre-cache");
    let ttl =
        option(options, "--tofqdns-pre-cache-ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or(precache::TTL);
    let mut log = Log::new(&mut *out);
    let policy = match rules(socket).await {
        Ok(policy) => policy,
        Err(error) => return failed(&mut log, "Cannot extract DNS data from local cilium-agent", &error),
    };
    let cache = precache::collect(&policy, ttl, Timestamp::now());
    let Some(path) = path else {
        let written = serde_json::to_string(&cache).map_err(io::Error::from);
        writeln!(out, "{}", written?)?;
        return Ok(ExitCode::SUCCESS);
    };
    match precache::write(Path::new(path), &cache) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => failed(&mut log, "Cannot open target destination for DNS pre-cache data", &error),
    }
}

/// The file that the pre-flight pod must write, if any.
pub(super) fn pre_cache<'a>(options: &[&'a str]) -> Option<&'a str> {
    option(options, "--tofqdns-pre-cache").filter(|path| !path.is_empty())
}

async fn rules(socket: &Path) -> io::Result<Policy> {
    let asked = timeout(PATIENCE, ask(socket, &Request::Policy)).await.map_err(io::Error::from)??;
    match asked {
        Reply::Policy { rules } => Policy::from_rules(&rules).map_err(io::Error::other),
        Reply::NotReady { reason } | Reply::Failed { reason } => Err(io::Error::other(reason)),
        other => Err(io::Error::other(format!("the agent answered {other:?}"))),
    }
}

/// The value of an option, written as one word or as two.
fn option<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next().copied(),
            Some(value) if value.starts_with('=') => return Some(&value[1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::{listen, serve};
    use crate::fqdn::cache::Cache;
    use rstest::rstest;
    use serde_json::json;

    async fn with_agent(reply: Reply, work: impl AsyncFnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let server =
            tokio::spawn(serve(listen(&socket).unwrap(), move |_| std::future::ready(reply.clone())));
        work(&socket).await;
        server.abort();
    }

    #[rstest]
    #[case::two_words(&["--tofqdns-pre-cache", "/a"], Some("/a"))]
    #[case::one_word(&["--tofqdns-pre-cache-ttl=5", "--tofqdns-pre-cache=/a"], Some("/a"))]
    #[case::empty(&["--tofqdns-pre-cache="], None)]
    #[case::other(&["--tofqdns-pre-cache-ttl", "5"], None)]
    fn the_file_is_an_option(#[case] options: &[&str], #[case] expected: Option<&str>) {
        assert_eq!(pre_cache(options), expected);
    }

    #[tokio::test]
    async fn the_poller_copies_what_stands_beside_names() {
        let rules = json!([{"endpointSelector": {}, "egress": [
            {"toFQDNs": [{"matchName": "a.b"}], "toCIDRSet": [{"cidr": "192.0.2.1/32"}]}]}]);
        with_agent(Reply::Policy { rules }, async |socket| {
            let file = socket.with_file_name("cache.json");
            let options = ["--tofqdns-pre-cache", file.to_str().unwrap(), "--tofqdns-pre-cache-ttl=60"];
            let mut out = Vec::new();
            assert_eq!(poller(socket, &options, &mut out).await.unwrap(), ExitCode::SUCCESS);
            let cache = precache::read(&file).unwrap();
            assert_eq!((cache.entries()[0].fqdn.as_str(), cache.entries()[0].ttl), ("a.b.", 60));
            assert_eq!(poller(socket, &[], &mut out).await.unwrap(), ExitCode::SUCCESS);
            assert!(String::from_utf8(out).unwrap().contains(r#""fqdn":"a.b.""#));
            let mut out = Vec::new();
            let nowhere = ["--tofqdns-pre-cache=/nonexistent/cache.json"];
            assert_eq!(poller(socket, &nowhere, &mut out).await.unwrap(), ExitCode::FAILURE);
            let said = String::from_utf8(out).unwrap();
            assert!(said.contains("Cannot open target destination for DNS pre-cache data"), "{said}");
        })
        .await;
    }

    #[tokio::test]
    async fn without_an_agent_there_is_nothing_to_copy() {
        let mut out = Vec::new();
        let code = poller(Path::new("/nonexistent"), &[], &mut out).await.unwrap();
        assert_eq!(code, ExitCode::FAILURE);
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains("Cannot extract DNS data from local cilium-agent"), "{said}");
    }

    #[tokio::test]
    async fn the_list_names_who_asked() {
        let mut names = Cache::default();
        names.learn("a.b", &[[192, 0, 2, 1].into()], 604_800, Timestamp::UNIX_EPOCH);
        let of = [("shop/web".to_owned(), names)].into();
        with_agent(Reply::Names { of }, async |socket| {
            let mut out = Vec::new();
            assert_eq!(cache_list(socket, &mut out).await.unwrap(), ExitCode::SUCCESS);
            let said = String::from_utf8(out).unwrap();
            let words: Vec<_> = said.lines().last().unwrap().split_whitespace().collect();
            assert_eq!(words, ["shop/web", "a.b.", "604800", "1970-01-08T00:00:00Z", "192.0.2.1"]);
        })
        .await;
    }
}
