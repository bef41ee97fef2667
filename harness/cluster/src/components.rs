//! Finds and builds the programs of a cluster.
//!
//! The order is: a folder that the user names, `KUBEBUILDER_ASSETS`, `PATH` (only a program of the pinned minor version), the
//! cache, and `go build` from the pinned modules of `ci/tools`. The cache folder is named by the hash of their go.sum.

use futures_util::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::go::{GoError, GoProgram};
use crate::release::{OLDEST_KIND, is_supported_kind};
use crate::spawn::Run;

/// The Kubernetes version that `ci/tools/go.mod` pins.
pub const KUBERNETES: &str = "v1.34.4";

/// Linker flags that stamp the pinned version into Kubernetes programs, as releases have it.
const STAMP: &str = "-X k8s.io/component-base/version.gitVersion=v1.34.4 \
                     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34";
/// Linker flags that stamp helm, as releases have it: its own version, and that of Kubernetes that charts are rendered for.
/// Without them charts that refuse old versions of Kubernetes cannot be rendered.
const HELM_STAMP: &str = "-X helm.sh/helm/v3/internal/version.version=v3.17.1 \
                          -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
                          -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34 \
                          -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 \
                          -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=34";
/// How long a program may take to print its version.
const VERSION: Duration = Duration::from_secs(30);

const GO_MOD: &str = include_str!("../../../ci/tools/go.mod");
const GO_SUM: &str = include_str!("../../../ci/tools/go.sum");
const HELM_GO_MOD: &str = include_str!("../../../ci/tools/helm/go.mod");
const HELM_GO_SUM: &str = include_str!("../../../ci/tools/helm/go.sum");
const KIND_GO_MOD: &str = include_str!("../../../ci/tools/kind/go.mod");
const KIND_GO_SUM: &str = include_str!("../../../ci/tools/kind/go.sum");

/// A program that a cluster is made of, or that renders a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// etcd.
    Etcd,
    /// The Kubernetes API server.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// kubelet.
    Kubelet,
    /// helm, which renders charts.
    Helm,
    /// kind, which makes clusters of Docker containers.
    Kind,
}

impl Component {
    /// The programs of a sandbox.
    pub const CLUSTER: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubelet];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Helm => "helm",
            Self::Kind => "kind",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::Helm => "helm.sh/helm/v3/cmd/helm",
            Self::Kind => "sigs.k8s.io/kind",
        }
    }

    /// Returns the program of the pinned module that it is built from.
    #[must_use]
    pub fn program(self) -> GoProgram<'static> {
        let (go_mod, go_sum) = match self {
            Self::Helm => (HELM_GO_MOD, HELM_GO_SUM),
            Self::Kind => (KIND_GO_MOD, KIND_GO_SUM),
            _ => (GO_MOD, GO_SUM),
        };
        let (name, package) = (self.name(), self.package());
        let stamped = GoProgram { name, package, go_mod, go_sum, sources: &[], ldflags: STAMP, cgo: false };
        match self {
            // With other flags it is another program in the cache.
            Self::Helm => {
                GoProgram { sources: &[("linker-flags", HELM_STAMP)], ldflags: HELM_STAMP, ..stamped }
            }
            _ => stamped,
        }
    }

    /// Whether a program with this version output is supported.
    fn is_supported(self, version: &str) -> bool {
        match self {
            Self::Kind => is_supported_kind(version),
            _ => version.contains(self.version_mark()),
        }
    }

    /// The required version.
    fn version_mark(self) -> &'static str {
        match self {
            Self::Etcd => "etcd Version: 3.",
            Self::Helm => "v3.17.",
            Self::Kind => OLDEST_KIND,
            _ => "v1.34.",
        }
    }
}

/// A component could not be found or built.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// It was not found, and Go is not installed to build it.
    #[error(
        "{name} was not found in {looked}, and Go is not installed to build it; install Go 1.24 or newer, or put \
         {name} {version} into a folder and name it with --components"
    )]
    NoGo {
        /// The program.
        name: &'static str,
        /// Where it was looked for.
        looked: String,
        /// The required version.
        version: &'static str,
    },
    /// The folder of `--components` does not contain it.
    #[error("{name} is not in {}, the folder of --components; put it there, or leave the option out", folder.display())]
    NotInFolder {
        /// The program.
        name: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// It could not be built.
    #[error(transparent)]
    Go(#[from] GoError),
}

/// Finds components, and builds what is missing.
#[derive(Clone, Debug)]
pub struct Components {
    folder: Option<PathBuf>,
    cache: PathBuf,
}

impl Components {
    /// Looks only in `folder` when it is given; built programs are kept in `cache`.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, cache: PathBuf) -> Self {
        Self { folder, cache }
    }

    /// Finds a component without building it.
    pub fn find(&self, component: Component) -> BoxFuture<'_, Option<PathBuf>> {
        Box::pin(async move {
            let name = component.name();
            if let Some(folder) = &self.folder {
                return executable(&folder.join(name));
            }
            if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS")
                && let Some(found) = executable(&Path::new(&assets).join(name))
            {
                return Some(found);
            }
            if let Ok(found) = which::which(name)
                && has_version(&found, component).await
            {
                return Some(found);
            }
            executable(&self.cached(component))
        })
    }

    /// Finds a component or builds it; `progress` receives a line before a build, which takes minutes.
    ///
    /// # Errors
    /// When it is not found and cannot be built; the message says what to install.
    pub fn resolve<'a>(
        &'a self,
        component: Component,
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<PathBuf, ComponentError>> {
        Box::pin(async move {
            if let Some(found) = self.find(component).await {
                return Ok(found);
            }
            let name = component.name();
            if let Some(folder) = &self.folder {
                return Err(ComponentError::NotInFolder { name, folder: folder.clone() });
            }
            if which::which("go").is_err() {
                return Err(ComponentError::NoGo {
                    name,
                    looked: format!("KUBEBUILDER_ASSETS, PATH or {}", self.cached(component).display()),
                    version: component.version_mark(),
                });
            }
            Ok(component.program().resolve(&self.cache, progress).await?)
        })
    }

    /// Builds those components that are missing; returns the time spent on builds.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn build_missing<'a>(
        &'a self,
        needed: &'a [Component],
        progress: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Duration, ComponentError>> {
        Box::pin(async move {
            let mut spent = Duration::ZERO;
            for component in needed {
                if self.find(*component).await.is_none() {
                    let started = Instant::now();
                    self.resolve(*component, progress).await?;
                    spent += started.elapsed();
                }
            }
            Ok(spent)
        })
    }

    fn cached(&self, component: Component) -> PathBuf {
        component.program().cached(&self.cache)
    }
}

fn executable(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    runs.then(|| path.to_path_buf())
}

async fn has_version(program: &Path, component: Component) -> bool {
    let option = if matches!(component, Component::Helm | Component::Kind) { "version" } else { "--version" };
    let version = Run::new(program).args([option]).within(VERSION).output().await;
    version.is_ok_and(|version| component.is_supported(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_of_builds_is_zero_when_nothing_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("etcd");
        std::fs::write(&program, "").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let components = Components::new(Some(folder.path().to_path_buf()), folder.path().join("cache"));
        let spent = components.build_missing(&[Component::Etcd], &|_| ()).await.unwrap();
        assert_eq!(spent, Duration::ZERO);
        let error = components.build_missing(&[Component::Kubelet], &|_| ()).await.unwrap_err();
        assert!(error.to_string().starts_with("kubelet is not in "), "{error}");
    }

    #[tokio::test]
    async fn named_folder_is_the_only_place() {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::new(Some(folder.path().to_path_buf()), folder.path().join("cache"));
        let error = components.resolve(Component::Kubelet, &|_| ()).await.unwrap_err();
        assert!(error.to_string().starts_with("kubelet is not in "), "{error}");
        assert!(error.to_string().contains("--components"), "{error}");
    }

    #[test]
    fn go_module_pins_the_version_that_is_stamped() {
        assert!(GO_MOD.contains(&format!("k8s.io/kubernetes {KUBERNETES}")));
        assert!(STAMP.contains(&format!("gitVersion={KUBERNETES} ")));
        let helm = HELM_STAMP.split_whitespace().find_map(|flag| flag.split_once("version.version="));
        let (_, helm) = helm.unwrap();
        assert!(HELM_GO_MOD.contains(&format!("helm.sh/helm/v3 {helm} ")));
        let minor = KUBERNETES.split('.').nth(1).unwrap();
        assert_eq!(HELM_STAMP.matches(&format!("k8sVersionMinor={minor}")).count(), 2);
    }
}
