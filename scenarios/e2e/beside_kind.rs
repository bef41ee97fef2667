//! What people have beside their cluster, in Docker beside kind's: a registry that the nodes pull from, and an etcd with
//! TLS that the agents keep their identities in. testcontainers holds both; `target/tools/crane` is the registry.

use std::path::Path;

use libtest_mimic::Failed;
use report::run::Verdict;
use serde_json::{Value, json};
use testcontainers::core::WaitFor;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _};
use tokio_rustls::rustls::crypto::ring;

use crate::charts;
use crate::command::{Running, check, component, run, seatrial, tool};
use crate::kind::{COARSE_BUDGETS, Held, docker};

/// The registry of the charts' images; nobody has this name.
const HOST: &str = "example.invalid";
/// The registry, and what pushes to it.
const CRANE: &str = "../../target/tools/crane";
const VERSIONS: [&str; 2] = ["1.6.12", "1.7.1"];
/// What the name of a trial's network begins with; its process ends it. What is on it is called after it.
const NETWORK: &str = "seatrial-e2e-";
/// Of images that are made for this.
const TAG: &str = "e2e";
/// Where etcd finds its certificates.
const CERTIFICATES: &str = "/certificates";

/// Charts with images that nobody loads into the nodes, and with an etcd that is not in the cluster: upgraded and rolled
/// back like any others.
pub(crate) fn pulled_and_kept_in_an_etcd() -> Result<(), Failed> {
    remove_what_the_dead_left()?;
    let before = Held::take()?;
    let network = format!("{NETWORK}{}", std::process::id());
    docker(&["network", "create", &network])?;
    let done = tokio::runtime::Runtime::new()?.block_on(upgraded_beside(&network));
    docker(&["network", "rm", &network])?;
    done?;
    before.is_as_before()
}

/// Removes what trials that were killed could not.
fn remove_what_the_dead_left() -> Result<(), Failed> {
    let ended = |network: &&str| {
        let process = network.strip_prefix(NETWORK).and_then(|process| process.parse::<u32>().ok());
        process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
    };
    for network in docker(&["network", "ls", "--format", "{{.Name}}"])?.out.lines().filter(ended) {
        let on_it = format!("network={network}");
        for container in docker(&["ps", "--all", "--quiet", "--filter", &on_it])?.out.lines() {
            docker(&["rm", "--force", "--volumes", container])?;
        }
        let called = format!("reference={network}-*");
        for image in docker(&["image", "ls", "--quiet", "--filter", &called])?.out.lines() {
            docker(&["image", "rm", image])?;
        }
        docker(&["network", "rm", network])?;
    }
    Ok(())
}

async fn upgraded_beside(network: &str) -> Result<(), Failed> {
    let registry = Registry::start(network).await?;
    let done = match Etcd::start(network).await {
        Ok(etcd) => {
            let done = upgraded(network, &registry, &etcd).await;
            etcd.service.end().await?;
            done
        }
        Err(e) => Err(e),
    };
    registry.service.end().await?;
    done
}

async fn upgraded(network: &str, registry: &Registry, etcd: &Etcd) -> Result<(), Failed> {
    let charts = charts::charts()?;
    registry.push_images(charts.path()).await?;
    let secret = charts.path().join("etcd-secrets.json");
    std::fs::write(&secret, etcd.secret().to_string())?;
    let budgets = charts.path().join("budgets.yaml");
    std::fs::write(&budgets, COARSE_BUDGETS)?;
    let [charts, secret, budgets] = [charts.path(), &secret, &budgets].map(|path| path.display().to_string());
    let mirror = format!("{HOST}=http://{}:5000", registry.service.name);
    let endpoint = format!("global.etcd.endpoints[0]=https://{}:2379", etcd.service.name);
    let mut words = vec!["run", "1.6", "1.7", "--rollback", "--subject", "cilium", "--charts", &charts];
    words.extend(["--prerequisites", &secret, "--set", "agent.keepDeprecatedLabels=true"]);
    words.extend(["--set", "global.etcd.enabled=true", "--set", &endpoint]);
    words.extend(["--provider", "kind", "--docker-network", network, "--registry-mirror", &mirror]);
    words.extend(["--budgets", &budgets]);
    let mut running = Running::start(&words)?;
    let code = running.ended()?;
    let record = running.record()?;
    check(code == Some(0) && record.verdict == Verdict::Passed, running.console())?;
    charts::went(&record, &[VERSIONS[0], VERSIONS[1], VERSIONS[0]])?;
    let asked = registry.service.said().await?;
    for version in VERSIONS {
        let pull = format!("/v2/cilium/cilium/manifests/v{version}?ns={HOST}");
        check(asked.contains(&pull), format!("no node asked for {pull}:\n{asked}"))?;
    }
    let identities = etcd.count("cilium/state/identities/v1/id/").await?;
    check(identities > 0, "etcd holds no identity")
}

/// A container with one program, and nothing else in it.
struct Service {
    name: String,
    image: String,
    container: ContainerAsync<GenericImage>,
}

impl Service {
    /// Starts it on the network; `ready` is what it says when it can be used.
    async fn start(
        network: &str,
        program: &Path,
        ready: &str,
        with: impl FnOnce(ContainerRequest<GenericImage>) -> ContainerRequest<GenericImage>,
    ) -> Result<Self, Failed> {
        let program_name =
            program.file_name().and_then(|name| name.to_str()).ok_or("a program has a name")?;
        let (name, folder) = (format!("{network}-{program_name}"), tempfile::tempdir()?);
        let layer = folder.path().join("layer.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&layer)?);
        tar.append_path_with_name(program, program_name)?;
        tar.finish()?;
        let (layer, entrypoint) = (layer.display().to_string(), format!("ENTRYPOINT [\"/{program_name}\"]"));
        let reference = format!("{name}:{TAG}");
        docker(&["import", "--change", &entrypoint, &layer, &reference])?;
        let image = GenericImage::new(name.as_str(), TAG).with_wait_for(WaitFor::message_on_stderr(ready));
        let started = with(image.with_network(network).with_container_name(&name)).start().await;
        match started {
            Ok(container) => Ok(Self { image: reference, name, container }),
            Err(e) => {
                docker(&["image", "rm", &reference])?;
                Err(format!("{name} could not be started: {e}").into())
            }
        }
    }

    /// Its address on the network.
    async fn address(&self) -> Result<std::net::IpAddr, Failed> {
        Ok(self.container.get_bridge_ip_address().await?)
    }

    /// All that it has said.
    async fn said(&self) -> Result<String, Failed> {
        Ok(String::from_utf8_lossy(&self.container.stderr_to_vec().await?).into_owned())
    }

    async fn end(self) -> Result<(), Failed> {
        self.container.rm().await?;
        docker(&["image", "rm", &self.image]).map(drop)
    }
}

/// A registry without TLS and without a user.
struct Registry {
    service: Service,
}

impl Registry {
    async fn start(network: &str) -> Result<Self, Failed> {
        let crane = Path::new(CRANE);
        check(crane.exists(), format!("there is no {CRANE}; `ci/test-kind` builds it"))?;
        let serve = ["registry", "serve", "--address", "0.0.0.0:5000"];
        let service =
            Service::start(network, crane, "serving on port", |request| request.with_cmd(serve)).await?;
        Ok(Self { service })
    }

    /// Pushes images of ours under the names that the charts use.
    async fn push_images(&self, charts: &Path) -> Result<(), Failed> {
        let folder = tempfile::tempdir()?;
        let (archive, layout) = (folder.path().join("shim.tar"), folder.path().join("layout"));
        let mut write = seatrial(&["image", "--shim", VERSIONS[0], "--shim", VERSIONS[1], "--charts"]);
        run(write.arg(charts).arg(&archive))?.expect_code(0)?;
        tar::Archive::new(std::fs::File::open(&archive)?).unpack(&layout)?;
        let index = layout.join("index.json");
        let whole: Value = serde_json::from_slice(&std::fs::read(&index)?)?;
        let registry = format!("{}:5000", self.service.address().await?);
        for image in whole["manifests"].as_array().into_iter().flatten() {
            let name = image["annotations"]["io.containerd.image.name"].as_str().unwrap_or_default();
            let place = name.strip_prefix(HOST).ok_or_else(|| format!("{name} is not of {HOST}"))?;
            // crane takes a layout of one image.
            let mut one = whole.clone();
            one["manifests"] = json!([image]);
            std::fs::write(&index, one.to_string())?;
            let push = ["push", "--insecure", &layout.display().to_string(), &format!("{registry}{place}")];
            run(&mut tool(CRANE, &push))?.expect_code(0)?;
        }
        Ok(())
    }
}

/// An etcd that asks its clients for a certificate.
struct Etcd {
    service: Service,
    authority: String,
    client: cluster::pki::Identity,
}

impl Etcd {
    async fn start(network: &str) -> Result<Self, Failed> {
        let authority = cluster::pki::Authority::new("etcd")?;
        let client = authority.client("cilium", None)?;
        let etcd = component("etcd")?;
        let server = authority.etcd("etcd", &[&format!("{network}-etcd")])?;
        let certificates =
            [("ca.crt", &authority.cert), ("etcd.crt", &server.cert), ("etcd.key", &server.key)];
        let arguments = [
            "--data-dir=/data".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            "--listen-client-urls=https://0.0.0.0:2379".to_owned(),
            format!("--advertise-client-urls=https://{network}-etcd:2379"),
            "--client-cert-auth".to_owned(),
            format!("--trusted-ca-file={CERTIFICATES}/ca.crt"),
            format!("--cert-file={CERTIFICATES}/etcd.crt"),
            format!("--key-file={CERTIFICATES}/etcd.key"),
        ];
        let with = |request: ContainerRequest<GenericImage>| {
            let copy = |request: ContainerRequest<GenericImage>, (name, text): (&str, &String)| {
                request.with_copy_to(format!("{CERTIFICATES}/{name}"), text.clone().into_bytes())
            };
            certificates.into_iter().fold(request.with_cmd(arguments), copy)
        };
        let service =
            Service::start(network, Path::new(&etcd), "ready to serve client requests", with).await?;
        Ok(Self { service, authority: authority.cert, client })
    }

    /// The Secret that agents mount.
    fn secret(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cilium-etcd-secrets"},
            "stringData": {
                "etcd-client-ca.crt": self.authority,
                "etcd-client.crt": self.client.cert,
                "etcd-client.key": self.client.key,
            },
        })
    }

    /// How many keys begin so.
    async fn count(&self, prefix: &str) -> Result<u64, Failed> {
        // Another trial may have chosen the same before.
        let _chosen = ring::default_provider().install_default();
        let identity = format!("{}{}", self.client.cert, self.client.key);
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(self.authority.as_bytes())?])
            .identity(reqwest::Identity::from_pem(identity.as_bytes())?)
            .resolve(&self.service.name, (self.service.address().await?, 2379).into())
            .build()?;
        // The end of a range is the first key behind it.
        let mut end = prefix.as_bytes().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let bytes = |bytes: &[u8]| json!(k8s_openapi::ByteString(bytes.to_vec()));
        let range = json!({"key": bytes(prefix.as_bytes()), "range_end": bytes(&end), "count_only": true});
        let url = format!("https://{}:2379/v3/kv/range", self.service.name);
        let answer: Value = client.post(url).json(&range).send().await?.error_for_status()?.json().await?;
        // Protocol Buffers in JSON write 64 bits as a text, and leave out what is 0.
        Ok(answer["count"].as_str().map_or(Ok(0), str::parse)?)
    }
}
