//! What is known about a cluster.

use std::collections::{BTreeMap, BTreeSet};

use crate::configmap::ConfigMap;
use crate::kernel::Kernel;
use crate::policy::Feature;
use model::{Impact, Layer, Minor, Version};

/// What is known about a cluster and its measurement; each fact may be unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Its ConfigMap.
    pub config: Option<&'a ConfigMap>,
    /// Features that its policies use.
    pub policies: Option<&'a BTreeSet<Feature>>,
    /// Oldest kernel of its nodes.
    pub kernel: Option<Kernel>,
    /// Minor of its Kubernetes.
    pub kubernetes: Option<Minor>,
    /// Newest minor of Cilium that the cluster has run before.
    pub previously: Option<Minor>,
    /// Versions that can be installed, where not every release is available; stops are chosen among these.
    pub available: Option<&'a BTreeSet<Version>>,
    /// Budgets of a measured run.
    pub budgets: Option<&'a BudgetTexts>,
}

impl Facts<'_> {
    /// Returns the namespace of Cilium: that of its ConfigMap, or `kube-system`.
    pub fn namespace(&self) -> &str {
        self.config.and_then(ConfigMap::namespace).unwrap_or("kube-system")
    }
}

/// What a measured run allows a layer at an impact, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetTexts(BTreeMap<(Layer, &'static str), String>);

impl BudgetTexts {
    /// Collects the budget of every layer and impact for which a function returns one.
    pub fn collect(budget: impl Fn(Layer, Impact) -> Option<String>) -> Self {
        let pairs = Layer::ALL.iter().flat_map(|layer| Impact::ALL.iter().map(|impact| (*layer, *impact)));
        let found =
            pairs.filter_map(|(layer, impact)| Some(((layer, impact.as_str()), budget(layer, impact)?)));
        Self(found.collect())
    }

    /// Returns the budget of a layer at an impact.
    pub fn get(&self, layer: Layer, impact: Impact) -> Option<&str> {
        self.0.get(&(layer, impact.as_str())).map(String::as_str)
    }
}
