//! A tree of where time went: every node's time is that of its children and its own.

use std::collections::HashMap;

use super::key::Key;
use crate::model::GuestNanos;

/// Names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

/// A tree of where time went.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    children: HashMap<(Option<NodeId>, Key), NodeId>,
}

/// One place of it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) parent: Option<NodeId>,
    pub(crate) key: Key,
    /// Its own time, without that of its children.
    pub(crate) own: GuestNanos,
    /// How often, where that was counted.
    pub(crate) count: u64,
}

/// Totals of a tree, and the children of each node with the largest first.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) totals: Vec<GuestNanos>,
    pub(crate) counts: Vec<u64>,
    children: Vec<Vec<NodeId>>,
    roots: Vec<NodeId>,
}

impl Tree {
    /// The node with that key below another; made if it was not there.
    pub(crate) fn child(&mut self, parent: Option<NodeId>, key: Key) -> NodeId {
        if let Some(known) = self.children.get(&(parent, key.clone())) {
            return *known;
        }
        // A tree has as many nodes as there are kinds of waits: far fewer than this.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node {
            parent,
            key: key.clone(),
            own: GuestNanos(0),
            count: 0,
        });
        self.children.insert((parent, key), id);
        id
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Every node with the position of its parent, which comes before it.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Option<usize>, &Node)> + '_ {
        let parent = |node: &Node| node.parent.map(|parent| parent.0 as usize);
        self.nodes.iter().map(move |node| (parent(node), node))
    }

    pub(crate) fn charge(&mut self, id: NodeId, time: GuestNanos) {
        self.nodes[id.0 as usize].own += time;
    }

    pub(crate) fn count(&mut self, id: NodeId) {
        self.nodes[id.0 as usize].count += 1;
    }

    /// Adds everything up.
    pub(crate) fn sums(&self) -> Sums {
        let mut totals: Vec<GuestNanos> = self.nodes.iter().map(|node| node.own).collect();
        let mut counts: Vec<u64> = self.nodes.iter().map(|node| node.count).collect();
        let mut children = vec![Vec::new(); self.nodes.len()];
        let mut roots = Vec::new();
        // A node is always behind its parent.
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(parent) = node.parent else {
                roots.push(id);
                continue;
            };
            let (above, total, count) = (parent.0 as usize, totals[index], counts[index]);
            totals[above] += total;
            // What is counted itself is not how often its parts are.
            if self.nodes[above].count == 0 {
                counts[above] += count;
            }
            children[above].push(id);
        }
        let by_size = |ids: &mut Vec<NodeId>| {
            ids.sort_by(|one, other| {
                let (a, b) = (one.0 as usize, other.0 as usize);
                let keys = (&self.nodes[a].key, &self.nodes[b].key);
                totals[b].cmp(&totals[a]).then_with(|| keys.0.cmp(keys.1))
            });
        };
        children.iter_mut().for_each(by_size);
        by_size(&mut roots);
        Sums {
            totals,
            counts,
            children,
            roots,
        }
    }
}

impl Sums {
    pub(crate) fn roots(&self) -> &[NodeId] {
        &self.roots
    }

    pub(crate) fn children(&self, id: NodeId) -> &[NodeId] {
        &self.children[id.0 as usize]
    }

    pub(crate) fn total(&self, id: NodeId) -> GuestNanos {
        self.totals[id.0 as usize]
    }

    pub(crate) fn count(&self, id: NodeId) -> u64 {
        self.counts[id.0 as usize]
    }
}
