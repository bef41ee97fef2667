//! The command `cilium` inside the agent's image.

mod fqdn;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::agent::api::{Reply, Request, SOCKET, ask};
use crate::agent::config::Settings;
use crate::agent::crds;
use crate::agent::monitor::SOCKET as MONITOR;
use crate::behaviour::custom_resources::WITH_NODES_AND_IDENTITIES;
use crate::datapath::service_maps;
use crate::identity::crd::IdentityObjects;
use crate::identity::etcd::Etcd;
use crate::identity::kvstore;
use crate::identity::migrate::{self, Log};
use crate::version::Version;
use crate::wait::{pause, terminated};
use crate::{chain, shim};

const PATIENCE: Duration = Duration::from_secs(4);
/// How long a monitor waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(100);
/// The file by which the pre-flight pod reports that its image was pulled.
const READY: &str = "/tmp/ready";
/// Where charts mount etcd's configuration.
const ETCD_CONFIG: &str = "/var/lib/etcd-config/etcd.config";

/// Runs a command, writing to `out`.
pub(crate) async fn run(args: &[OsString], out: &mut impl Write) -> io::Result<ExitCode> {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    match words[..] {
        ["status", ..] => status(Path::new(SOCKET), out).await,
        ["policy", "import", file] => policy_import(Path::new(SOCKET), file, out).await,
        ["monitor", ref options @ ..] => monitor(Path::new(MONITOR), options, out).await,
        ["version", ..] => {
            match Version::from_env() {
                Ok(version) => writeln!(out, "Client: {version}")?,
                Err(error) => writeln!(out, "{error}")?,
            }
            Ok(ExitCode::SUCCESS)
        }
        ["fqdn", "cache", "list"] => fqdn::cache_list(Path::new(SOCKET), out).await,
        ["preflight", ref words @ ..] => preflight(words, out).await,
        ["build-config", ..] => match shim::build_config().await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                writeln!(out, "{}", chain(&error))?;
                Ok(ExitCode::FAILURE)
            }
        },
        _ => usage(out),
    }
}

/// The subcommands of `cilium preflight`.
async fn preflight(words: &[&str], out: &mut impl Write) -> io::Result<ExitCode> {
    match *words {
        ["fqdn-poller", ref options @ ..] => fqdn::poller(Path::new(SOCKET), options, out).await,
        // Upstream's pod runs `touch /tmp/ready; sleep 1h` in a shell; this image has none. From 1.4 to 1.5, or where
        // the values say so, it is `cilium preflight fqdn-poller … && touch /tmp/ready; sleep 1h`.
        ["wait", ref options @ ..] => {
            if fqdn::pre_cache(options).is_some() {
                let copied = fqdn::poller(Path::new(SOCKET), options, out).await?;
                if copied != ExitCode::SUCCESS {
                    return Ok(copied);
                }
            }
            std::fs::create_dir_all("/tmp")?;
            std::fs::write(READY, "")?;
            terminated().await;
            Ok(ExitCode::SUCCESS)
        }
        ["ready"] => Ok(if Path::new(READY).exists() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        // Upstream's init container runs `rm` in a shell, and ignores errors.
        ["rm-svc-v2"] => {
            if let Err(error) = service_maps::remove_v2(Path::new(service_maps::FOLDER)) {
                writeln!(out, "{error}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["validate-cnp"] => {
            // The stand-in's schema accepts every policy.
            writeln!(out, "All CCNPs and CNPs valid!")?;
            Ok(ExitCode::SUCCESS)
        }
        ["migrate-identity", ref options @ ..] => migrate_identity(options, out).await,
        _ => usage(out),
    }
}

fn usage(out: &mut impl Write) -> io::Result<ExitCode> {
    let commands = "status [--brief] | policy import FILE|- | monitor [--type drop] | version | fqdn cache list | \
                    build-config | preflight wait|ready|fqdn-poller|rm-svc-v2|migrate-identity|validate-cnp";
    writeln!(out, "usage: cilium {commands}")?;
    Ok(ExitCode::from(2))
}

/// Ends well even when single identities could not be migrated; only what it needs itself must be there.
async fn migrate_identity(options: &[&str], out: &mut impl Write) -> io::Result<ExitCode> {
    let mut log = Log::new(out);
    log.info("Setting up kvstore client")?;
    let etcd = match Etcd::from_file(Some(etcd_config(options))) {
        Ok(etcd) => etcd,
        Err(error) => return failed(&mut log, "Unable to setup kvstore", &error),
    };
    log.info("Setting up kubernetes client")?;
    let client = match crate::kubernetes::client() {
        Ok(client) => client,
        Err(error) => return failed(&mut log, "Unable to connect to Kubernetes apiserver", &error),
    };
    if let Err(error) = crds::register(&client, WITH_NODES_AND_IDENTITIES).await {
        return failed(&mut log, "Unable to register CRDs", &error);
    }
    log.info("Listing identities in kvstore")?;
    let identities = match kvstore::identities(&etcd).await {
        Ok(identities) => identities,
        Err(error) => return failed(&mut log, "Unable to list identities in kvstore", &error),
    };
    log.info("Migrating identities to CRD")?;
    migrate::migrate(&identities, &mut IdentityObjects::new(&client), &mut log).await?;
    Ok(ExitCode::SUCCESS)
}

fn failed<W: Write>(
    log: &mut Log<'_, W>,
    message: &str,
    error: &(dyn std::error::Error + 'static),
) -> io::Result<ExitCode> {
    log.fatal(message, error)?;
    Ok(ExitCode::FAILURE)
}

/// The path of etcd's configuration from `--kvstore-opt`, or else where the chart mounts it.
fn etcd_config(options: &[&str]) -> PathBuf {
    let mut values = options.iter().skip_while(|option| !option.starts_with("--kvstore-opt"));
    let value = match values.next().map(|option| option.split_once('=')) {
        Some(Some((_, value))) => Some(value),
        Some(None) => values.next().copied(),
        None => None,
    };
    let settings: Settings = value.map(|value| ("kvstore-opt", value)).into_iter().collect();
    settings.etcd_config().unwrap_or_else(|| ETCD_CONFIG.into())
}

async fn status(socket: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    let problem = match timeout(PATIENCE, ask(socket, &Request::Status)).await {
        Ok(Ok(Reply::Ok)) => {
            writeln!(out, "OK")?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(Ok(Reply::NotReady { reason } | Reply::Failed { reason })) => reason,
        Ok(Ok(other)) => format!("the agent answered {other:?}"),
        Ok(Err(error)) => format!("the agent cannot be reached at {}: {error}", socket.display()),
        Err(_) => "the agent did not answer in time".to_owned(),
    };
    writeln!(out, "error: {problem}")?;
    Ok(ExitCode::FAILURE)
}

/// Writes the events of the agent, and of its successors, until the process is terminated.
async fn monitor(socket: &Path, options: &[&str], out: &mut impl Write) -> io::Result<ExitCode> {
    if !matches!(options, [] | ["--type", "drop"]) {
        writeln!(out, "Error: the stand-in tells of nothing but drops: cilium monitor [--type drop]")?;
        return Ok(ExitCode::FAILURE);
    }
    let terminated = terminated();
    tokio::select! {
        () = terminated => Ok(ExitCode::SUCCESS),
        ended = listen_again_and_again(socket, out) => ended,
    }
}

async fn listen_again_and_again(socket: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
    writeln!(out, "Listening for events...")?;
    out.flush()?;
    loop {
        if let Ok(stream) = UnixStream::connect(socket).await {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                writeln!(out, "{line}")?;
                out.flush()?;
            }
            writeln!(out, "The agent is away, trying to connect again...")?;
            out.flush()?;
        }
        pause(RECONNECT).await;
    }
}

/// Imports the rules in a file, or in standard input for `-`, in upstream's words.
async fn policy_import(socket: &Path, file: &str, out: &mut impl Write) -> io::Result<ExitCode> {
    let problem = match read_rules(file) {
        Err(error) => format!("{file}: {error}"),
        Ok(rules) => match timeout(PATIENCE, ask(socket, &Request::ImportPolicy { rules })).await {
            Ok(Ok(Reply::Imported { revision })) => {
                writeln!(out, "Revision: {revision}")?;
                return Ok(ExitCode::SUCCESS);
            }
            Ok(Ok(Reply::NotReady { reason } | Reply::Failed { reason })) => reason,
            Ok(Ok(other)) => format!("the agent answered {other:?}"),
            Ok(Err(error)) => format!("the agent cannot be reached at {}: {error}", socket.display()),
            Err(_) => "the agent did not answer in time".to_owned(),
        },
    };
    writeln!(out, "Error: Cannot import policy: {problem}")?;
    Ok(ExitCode::FAILURE)
}

fn read_rules(file: &str) -> io::Result<Value> {
    if file != "-" {
        return Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?);
    }
    // Some runtimes do not close the input of an exec session, so the end of the value ends the input.
    let mut values = serde_json::Deserializer::from_reader(io::stdin().lock()).into_iter();
    values.next().unwrap_or(Ok(Value::Null)).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::api::{listen, serve};
    use rstest::rstest;

    #[rstest]
    #[case::in_order(Reply::Ok, ExitCode::SUCCESS, "OK\n")]
    #[case::starting(Reply::NotReady { reason: "agent: starting".into() }, ExitCode::FAILURE, "error: agent: starting\n")]
    #[tokio::test]
    async fn status_says_what_the_agent_says(
        #[case] reply: Reply,
        #[case] code: ExitCode,
        #[case] text: &str,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let answer = move |_| std::future::ready(reply.clone());
        let server = tokio::spawn(serve(listen(&socket).unwrap(), answer));
        let mut out = Vec::new();
        assert_eq!(status(&socket, &mut out).await.unwrap(), code);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        server.abort();
    }

    #[rstest]
    #[case::of_the_chart(&[], ETCD_CONFIG)]
    #[case::next_word(&["--kvstore", "etcd", "--kvstore-opt", "etcd.config=/a/b.yml"], "/a/b.yml")]
    #[case::one_word(&["--kvstore-opt=etcd.config=/a/b.yml"], "/a/b.yml")]
    fn etcds_configuration_can_be_named(#[case] options: &[&str], #[case] path: &str) {
        assert_eq!(etcd_config(options), Path::new(path));
    }

    #[tokio::test]
    async fn a_migration_without_a_kvstore_is_an_error() {
        let mut out = Vec::new();
        let args = ["preflight", "migrate-identity", "--kvstore-opt", "etcd.config=/nonexistent"];
        let code = run(&args.map(OsString::from), &mut out).await.unwrap();
        assert_eq!(code, ExitCode::FAILURE);
        let said = String::from_utf8(out).unwrap();
        assert!(
            said.contains("FATA[0000] Unable to setup kvstore") && said.contains("/nonexistent"),
            "{said}"
        );
    }

    #[rstest]
    #[case::imported(Reply::Imported { revision: 7 }, ExitCode::SUCCESS, "Revision: 7\n")]
    #[case::refused(
        Reply::Failed { reason: "[PUT /policy][500] putPolicyFailure  why".into() },
        ExitCode::FAILURE,
        "Error: Cannot import policy: [PUT /policy][500] putPolicyFailure  why\n"
    )]
    #[tokio::test]
    async fn import_says_what_the_agent_says(
        #[case] reply: Reply,
        #[case] code: ExitCode,
        #[case] text: &str,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let answer = move |asked| {
            assert!(
                matches!(asked, Request::ImportPolicy { rules } if rules[0]["endpointSelector"].is_object())
            );
            std::future::ready(reply.clone())
        };
        let server = tokio::spawn(serve(listen(&socket).unwrap(), answer));
        let file = folder.path().join("rules.json");
        std::fs::write(&file, r#"[{"endpointSelector": {}}]"#).unwrap();
        let mut out = Vec::new();
        assert_eq!(policy_import(&socket, file.to_str().unwrap(), &mut out).await.unwrap(), code);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        server.abort();
    }

    #[tokio::test]
    async fn a_monitor_outlives_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("monitor.sock");
        let agents = async {
            for event in ["one", "two"] {
                let listener = listen(&socket).unwrap();
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{event}\n").as_bytes())
                    .await
                    .unwrap();
            }
            // The third agent ends the test: by then the monitor has read the events of the second.
            listen(&socket).unwrap().accept().await.unwrap();
        };
        let mut out = Vec::new();
        tokio::select! {
            () = agents => {}
            ended = monitor(&socket, &["--type", "drop"], &mut out) => panic!("{ended:?}"),
        }
        let away = "The agent is away, trying to connect again...";
        let expected = format!("Listening for events...\none\n{away}\ntwo\n{away}\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[tokio::test]
    async fn an_absent_agent_is_an_error() {
        let mut out = Vec::new();
        assert_eq!(status(Path::new("/nonexistent"), &mut out).await.unwrap(), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("/nonexistent"));
    }
}
