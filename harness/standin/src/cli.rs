//! The command `cilium` inside the agent's image.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use crate::agent::api::{Reply, Request, SOCKET, ask};
use crate::agent::config::Settings;
use crate::agent::crds;
use crate::behaviour::custom_resources::WITH_NODES_AND_IDENTITIES;
use crate::datapath::service_maps;
use crate::identity::crd::IdentityObjects;
use crate::identity::etcd::Etcd;
use crate::identity::kvstore;
use crate::identity::migrate::{self, Log};
use crate::version::Version;

const PATIENCE: Duration = Duration::from_secs(4);
/// The file by which the pre-flight pod says that its image has arrived.
const READY: &str = "/tmp/ready";
/// Where charts mount etcd's configuration.
const ETCD_CONFIG: &str = "/var/lib/etcd-config/etcd.config";

/// Runs a command, writing to `out`.
pub(crate) async fn run(args: &[OsString], out: &mut impl Write) -> io::Result<ExitCode> {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    match words[..] {
        ["status", ..] => status(Path::new(SOCKET), out).await,
        ["version", ..] => {
            match Version::from_env() {
                Ok(version) => writeln!(out, "Client: {version}")?,
                Err(error) => writeln!(out, "{error}")?,
            }
            Ok(ExitCode::SUCCESS)
        }
        // Upstream's pod runs `touch /tmp/ready; sleep 1h` in a shell; this image has none.
        ["preflight", "wait"] => {
            std::fs::create_dir_all("/tmp")?;
            std::fs::write(READY, "")?;
            crate::terminated().await;
            Ok(ExitCode::SUCCESS)
        }
        ["preflight", "ready"] => {
            Ok(if Path::new(READY).exists() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        // Upstream's init container runs `rm` in a shell, and goes on whatever comes of it.
        ["preflight", "rm-svc-v2"] => {
            if let Err(error) = service_maps::remove_v2(Path::new(service_maps::FOLDER)) {
                writeln!(out, "{error}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["preflight", "migrate-identity", ..] => migrate_identity(&words[2..], out).await,
        _ => {
            let commands = "status [--brief] | version | preflight wait|ready|rm-svc-v2|migrate-identity";
            writeln!(out, "usage: cilium {commands}")?;
            Ok(ExitCode::from(2))
        }
    }
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

/// Where `--kvstore-opt` says that etcd's configuration is, or else where the chart mounts it.
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

    #[tokio::test]
    async fn an_absent_agent_is_an_error() {
        let mut out = Vec::new();
        assert_eq!(status(Path::new("/nonexistent"), &mut out).await.unwrap(), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("/nonexistent"));
    }
}
