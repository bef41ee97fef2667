//! The installation of a subject: its programs, images and charts, and its first version.

use std::path::PathBuf;
use std::time::Duration;

use cluster::{Cni, Component, Image};
use model::Version;
use probe::deploy::Target;
use subject::{Capability, Facts, Installation, Release, Subject};

use crate::bundle::Bundle;
use crate::place::{Booted, Needs};
use crate::session::Session;
use crate::subjects;

/// How long a rollout may take.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(120);
/// How long nodes may take to become Ready with a subject.
const READY: Duration = Duration::from_secs(30);

/// A subject with everything that its installation needs.
pub(super) struct Prepared<'a> {
    choice: &'a dyn Subject,
    helm: PathBuf,
    /// Holds the layers of the images on disk.
    _bundle: Bundle,
    subject: Box<dyn subject::Prepared>,
    pause: Image,
    probe: Image,
    dns: Image,
}

/// A subject on a place that is up.
pub(super) struct Installed {
    pub(super) client: kube::Client,
    pub(super) facts: Facts,
    pub(super) releases: Vec<Release>,
    pub(super) subject: Installation,
    /// Where the probes go.
    pub(super) probes: Target,
}

impl<'a> Prepared<'a> {
    /// Prepares images and charts of the versions.
    pub(super) async fn new(
        choice: &'a dyn Subject,
        versions: &[Version],
        session: &Session<'_>,
    ) -> anyhow::Result<Self> {
        let components = session.place.components();
        let progress = |message| session.recorder.progress("cluster", message);
        let helm = components.resolve(Component::Helm, &progress).await?;
        let bundle = Bundle::new().await?;
        let subject = subjects::prepare(choice, versions, &bundle, components, &helm).await?;
        let [pause, probe, dns] = ["pause", "probe", cluster::dns::ROLE].map(|role| bundle.role(role));
        Ok(Self { choice, helm, _bundle: bundle, subject, pause, probe, dns })
    }

    /// Brings the place up with what the subject needs, and reads what the subject must know of it. The run takes `planned`
    /// at most.
    pub(super) async fn boot(
        &self,
        node_image: Option<String>,
        id: &str,
        planned: Duration,
        session: &mut Session<'_>,
    ) -> anyhow::Result<Installed> {
        let mut images = vec![self.pause.clone(), self.probe.clone(), self.dns.clone()];
        images.extend(self.subject.images());
        let needs = Needs {
            images,
            archives: self.subject.archives(),
            dual_stack: self.choice.carries().has(Capability::Ipv6),
            cni: Cni::None,
            node_image,
            namespace: cluster::dns::NAMESPACE,
        };
        let Booted { client, kubernetes, api, .. } = session.boot(needs).await?;
        let probes = session.place.probes(&self.probe.reference, planned);
        let names = self.choice.names();
        session.watch(&client, &names, &probes.namespace);
        let created = session.place.is_created();
        let facts = Facts::read(&client, self.helm.clone(), &kubernetes, api, created).await?;
        let releases = self.subject.releases(&facts).await?;
        let subject = Installation::new(client.clone(), names, ROLLOUT).of_run(id);
        Ok(Installed { client, facts, releases, subject, probes })
    }

    /// Installs a version with these keys of its ConfigMap, and waits until the nodes are Ready.
    pub(super) async fn install(
        &self,
        version: &Version,
        config: &std::collections::BTreeMap<String, String>,
        installed: &Installed,
    ) -> anyhow::Result<()> {
        let Installed { client, facts, subject, .. } = installed;
        subject.apply(&self.subject.prerequisites(facts)?).await?;
        subject.install(&installed.release(version)?.chart, config).await?;
        cluster::nodes_ready(client, facts.nodes.len(), READY).await?;
        if self.choice.carries().has(Capability::Services) {
            subject.deployment_status(cluster::dns::NAMESPACE, cluster::dns::NAME).await?;
        }
        Ok(())
    }

    /// Applies the cluster DNS, where Services work.
    pub(super) async fn apply_dns(&self, installed: &Installed) -> anyhow::Result<()> {
        if self.choice.carries().has(Capability::Services) {
            installed.subject.apply(&cluster::dns::objects(&self.dns.reference)).await?;
        }
        Ok(())
    }
}

impl Installed {
    /// The names of the nodes.
    pub(super) fn nodes(&self) -> Vec<String> {
        self.facts.nodes.iter().map(|(name, _)| name.clone()).collect()
    }

    fn release(&self, version: &Version) -> anyhow::Result<&Release> {
        let release = self.releases.iter().find(|release| release.version == *version);
        release.ok_or_else(|| anyhow::anyhow!("version {version} was not prepared"))
    }

    /// The cluster runs this version already, from this image: a rollback returns to it.
    pub(super) fn runs(&mut self, version: &Version, image: &str) -> anyhow::Result<()> {
        let release = self.releases.iter_mut().find(|release| release.version == *version);
        let release = release.ok_or_else(|| anyhow::anyhow!("version {version} was not prepared"))?;
        image.clone_into(&mut release.image);
        Ok(())
    }
}
