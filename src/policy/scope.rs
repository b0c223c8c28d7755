//! What a rule's scope alone says: can it match calls of this tool?

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid, Policy, ResourceConstraint};

/// One action that calls are judged as: a registered tool's, or `unregistered`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The action's id.
    pub(super) action: &'a str,
    /// The groups that the action is in.
    pub(super) groups: &'a BTreeSet<&'a str>,
    /// The registered tool, or `None`: an unregistered tool is never one that a rule names.
    pub(super) tool: Option<&'a str>,
}

/// How far a rule's scope reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Proven false: the rule cannot match, and a scope never errors.
    Never,
    /// Through a group, or because the scope does not say.
    Groups,
    /// Because the scope names this very tool.
    Named,
}

/// What the rule's scope says about calls of the target. The principal is not looked at: it differs by call.
pub(super) fn reach(policy: &Policy, target: Target<'_>) -> Reach {
    let names = |uid: &EntityUid| id(uid, "Action") == Some(target.action);
    let holds = |uid: &EntityUid| id(uid, "Action").is_some_and(|group| target.groups.contains(group));
    let by_action = match policy.action_constraint() {
        ActionConstraint::Any => Reach::Groups,
        ActionConstraint::Eq(uid) if names(&uid) => Reach::Named,
        ActionConstraint::In(uids) if uids.iter().any(names) => Reach::Named,
        ActionConstraint::In(uids) if uids.iter().any(holds) => Reach::Groups,
        ActionConstraint::Eq(_) | ActionConstraint::In(_) => Reach::Never,
    };
    if by_action == Reach::Never {
        return Reach::Never;
    }
    match policy.resource_constraint() {
        ResourceConstraint::Any => by_action,
        ResourceConstraint::Is(name) if name.to_string() == "Tool" => by_action,
        ResourceConstraint::Is(_) => Reach::Never,
        // Tools are in nothing but themselves.
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            let named = id(&uid, "Tool");
            if named.is_some() && named == target.tool { Reach::Named } else { Reach::Never }
        }
    }
}

/// The id of an entity of this type.
pub(super) fn id<'a>(uid: &'a EntityUid, of_type: &str) -> Option<&'a str> {
    (uid.type_name().namespace().is_empty() && uid.type_name().basename() == of_type)
        .then(|| uid.id().unescaped())
}
