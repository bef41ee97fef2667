//! The Go programs of the images, from the modules that `ci/tools` pins.

use cluster::GoProgram;

macro_rules! module {
    ($folder:literal) => {
        (
            include_str!(concat!("../../../../ci/tools/", $folder, "/go.mod")),
            include_str!(concat!("../../../../ci/tools/", $folder, "/go.sum")),
        )
    };
}

/// Linker flags that stamp the pinned version into Kubernetes programs, as releases have it.
const KUBERNETES: &str = "-X k8s.io/component-base/version.gitVersion=v1.34.4 \
                          -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34";

const NODE: (&str, &str) = module!("node");

const fn program(
    name: &'static str,
    package: &'static str,
    (go_mod, go_sum): (&'static str, &'static str),
    ldflags: &'static str,
) -> GoProgram<'static> {
    GoProgram { name, package, go_mod, go_sum, sources: &[], ldflags, cgo: false }
}

pub(super) const KUBE_PROXY: GoProgram<'static> =
    program("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", NODE, KUBERNETES);
pub(super) const KUBEADM: GoProgram<'static> =
    program("kubeadm", "k8s.io/kubernetes/cmd/kubeadm", NODE, KUBERNETES);
pub(super) const KUBECTL: GoProgram<'static> =
    program("kubectl", "k8s.io/kubernetes/cmd/kubectl", NODE, KUBERNETES);

pub(super) const PAUSE: GoProgram<'static> = GoProgram {
    sources: &[("main.go", include_str!("../../../../ci/kind-node/pause/main.go"))],
    ..program("pause", ".", (include_str!("../../../../ci/kind-node/pause/go.mod"), ""), "")
};

pub(super) const FLANNEL_CNI: GoProgram<'static> = program(
    "flannel-cni",
    "github.com/containernetworking/plugins/plugins/meta/flannel",
    module!("flannel/cni"),
    "",
);

/// flanneld of each version that the tests run; its UDP backend is written in C.
pub(super) const FLANNELD: [(&str, GoProgram<'static>); 2] = [
    (
        "0.25.7",
        GoProgram {
            cgo: true,
            ..program(
                "flanneld",
                "github.com/flannel-io/flannel",
                module!("flannel/0.25.7"),
                "-X github.com/flannel-io/flannel/pkg/version.Version=v0.25.7",
            )
        },
    ),
    (
        "0.26.7",
        GoProgram {
            cgo: true,
            ..program(
                "flanneld",
                "github.com/flannel-io/flannel",
                module!("flannel/0.26.7"),
                "-X github.com/flannel-io/flannel/pkg/version.Version=v0.26.7",
            )
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_pinned_versions() {
        let pinned = cluster::components::KUBERNETES;
        assert!(KUBERNETES.contains(&format!("gitVersion={pinned} ")));
        assert!(NODE.0.contains(&format!("k8s.io/kubernetes {pinned}")));
        for (version, flanneld) in FLANNELD {
            assert!(
                flanneld.go_mod.contains(&format!("github.com/flannel-io/flannel v{version}")),
                "{version}"
            );
            assert!(flanneld.ldflags.ends_with(&format!("=v{version}")), "{version}");
        }
    }
}
