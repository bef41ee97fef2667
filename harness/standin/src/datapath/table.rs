//! The table in the kernel, generation after generation.

use super::nft::{self, Object, ToolError};
use super::ruleset::Ruleset;
use super::tracked;
use super::{GENERATION, TABLE};

/// Our table, whose current generation is the highest that it holds.
#[derive(Debug)]
pub(crate) struct Table {
    generation: u64,
    /// Whether connections have to find a place.
    tracks: bool,
}

impl Table {
    /// Finds the generation that an earlier agent left in force.
    pub(crate) async fn open() -> Result<Self, ToolError> {
        let objects = nft::objects().await?;
        let generation = objects.iter().filter_map(generation).max().unwrap_or(0);
        Ok(Self { generation, tracks: objects.iter().any(|it| it.name == tracked::HOOK.0) })
    }

    /// Puts `ruleset` into force: at once, for whole packets.
    pub(crate) async fn replace(&mut self, ruleset: &Ruleset) -> Result<(), ToolError> {
        let next = self.generation + 1;
        let mut script = ruleset.render(next);
        let tracks = ruleset.bounds.is_some();
        if self.tracks && !tracks {
            script.extend(["delete chain ", TABLE, " ", tracked::HOOK.0, "\n"]);
        }
        nft::apply(&script).await?;
        (self.generation, self.tracks) = (next, tracks);
        Ok(())
    }

    /// Removes all generations but this one and the one before: on a machine that is itself scheduled, a packet
    /// may still be on its way through that, and would find its maps empty.
    pub(crate) async fn sweep(&self) -> Result<(), ToolError> {
        let objects = nft::objects().await?;
        let old: Vec<&Object> =
            objects.iter().filter(|it| generation(it).is_some_and(|it| it + 1 < self.generation)).collect();
        if old.is_empty() {
            return Ok(());
        }
        nft::apply(&removal(&old)).await
    }
}

/// The generation that an object belongs to; base chains belong to none.
fn generation(object: &Object) -> Option<u64> {
    object.name.rsplit_once(GENERATION)?.1.parse().ok()
}

/// Rules hold maps and chains, and maps hold chains: so rules go first, chains last.
fn removal(objects: &[&Object]) -> String {
    let (chains, maps): (Vec<&Object>, Vec<&Object>) = objects.iter().partition(|it| it.kind == "chain");
    let flush = chains.iter().map(|it| format!("flush chain {TABLE} {}\n", it.name));
    let delete = maps.iter().chain(&chains).map(|it| format!("delete {} {TABLE} {}\n", it.kind, it.name));
    flush.chain(delete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_generations_go_in_the_order_that_the_kernel_allows() {
        let object = |kind: &str, name: &str| Object { kind: kind.into(), name: name.into() };
        let old = [object("chain", "enforce_g1"), object("map", "ingress_g1")];
        assert_eq!(
            removal(&old.iter().collect::<Vec<_>>()),
            "flush chain inet cilium enforce_g1\ndelete map inet cilium ingress_g1\n\
             delete chain inet cilium enforce_g1\n"
        );
    }

    #[test]
    fn base_chains_have_no_generation() {
        let of = |name: &str| generation(&Object { kind: "chain".into(), name: name.into() });
        assert_eq!([of("nat_prerouting"), of("ingress_10_244_0_2_g17")], [None, Some(17)]);
    }
}
