//! The revisions of MCP, the two eras they fall into, and the methods each has.

/// How a request carries its terms: negotiated once in `initialize`, or with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25 and earlier.
    Legacy,
    /// 2026-07-28.
    Modern,
}

/// A revision of MCP that is served here, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    March2025,
    June2025,
    November2025,
    July2026,
}

impl Version {
    /// Every revision served, newest first.
    pub(crate) const ALL: [Self; 4] =
        [Self::July2026, Self::November2025, Self::June2025, Self::March2025];

    /// The revision as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::July2026 => "2026-07-28",
            Self::June2025 => "2025-06-18",
            Self::March2025 => "2025-03-26",
            Self::November2025 => "2025-11-25",
        }
    }

    /// The revision of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// What `initialize` answers to a client that asks for `text`: the same if it is a legacy
    /// revision served here, otherwise the newest legacy one. 2026-07-28 has no `initialize`, so
    /// it is never the answer.
    pub(crate) fn negotiate(text: &str) -> Self {
        match Self::parse(text) {
            Some(version) if version.era() == Era::Legacy => version,
            _ => Self::November2025,
        }
    }

    /// The era it belongs to.
    pub(crate) fn era(self) -> Era {
        if self == Self::July2026 { Era::Modern } else { Era::Legacy }
    }
}

/// A method a client may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    CallTool,
    CancelTask,
    Complete,
    Discover,
    GetPrompt,
    GetTask,
    Initialize,
    ListPrompts,
    ListResources,
    ListTasks,
    ListTemplates,
    ListTools,
    Listen,
    Ping,
    ReadResource,
    SetLevel,
    Subscribe,
    TaskResult,
    Unsubscribe,
    UpdateTask,
}

/// Method, name, and the eras that have it.
const METHODS: [(Method, &str, Eras); 20] = [
    (Method::CallTool, "tools/call", Eras::BOTH),
    (Method::CancelTask, "tasks/cancel", Eras::BOTH),
    (Method::Complete, "completion/complete", Eras::BOTH),
    (Method::Discover, "server/discover", Eras::MODERN),
    (Method::GetPrompt, "prompts/get", Eras::BOTH),
    (Method::GetTask, "tasks/get", Eras::BOTH),
    (Method::Initialize, "initialize", Eras::LEGACY),
    (Method::ListPrompts, "prompts/list", Eras::BOTH),
    (Method::ListResources, "resources/list", Eras::BOTH),
    (Method::ListTasks, "tasks/list", Eras::LEGACY),
    (Method::ListTemplates, "resources/templates/list", Eras::BOTH),
    (Method::ListTools, "tools/list", Eras::BOTH),
    (Method::Listen, "subscriptions/listen", Eras::MODERN),
    (Method::Ping, "ping", Eras::LEGACY),
    (Method::ReadResource, "resources/read", Eras::BOTH),
    (Method::SetLevel, "logging/setLevel", Eras::LEGACY),
    (Method::Subscribe, "resources/subscribe", Eras::LEGACY),
    (Method::TaskResult, "tasks/result", Eras::LEGACY),
    (Method::Unsubscribe, "resources/unsubscribe", Eras::LEGACY),
    (Method::UpdateTask, "tasks/update", Eras::MODERN),
];

#[derive(Clone, Copy)]
struct Eras {
    legacy: bool,
    modern: bool,
}

impl Eras {
    const BOTH: Self = Self { legacy: true, modern: true };
    const LEGACY: Self = Self { legacy: true, modern: false };
    const MODERN: Self = Self { legacy: false, modern: true };
}

impl Method {
    /// The method of that name in the era.
    pub(crate) fn parse(name: &str, era: Era) -> Option<Self> {
        METHODS.iter().find(|(_, own, _)| *own == name).and_then(|(method, _, eras)| {
            let known = if era == Era::Legacy { eras.legacy } else { eras.modern };
            known.then_some(*method)
        })
    }

    /// Whether a request without a version of its own must be a modern one.
    pub(crate) fn is_modern_only(name: &str) -> bool {
        Self::parse(name, Era::Modern).is_some() && Self::parse(name, Era::Legacy).is_none()
    }

    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        METHODS.iter().find(|(own, _, _)| *own == self).map_or("", |(_, name, _)| name)
    }

    /// The list's member in its result, if the method is a list.
    pub(crate) fn list_member(self) -> Option<&'static str> {
        match self {
            Self::ListPrompts => Some("prompts"),
            Self::ListResources => Some("resources"),
            Self::ListTemplates => Some("resourceTemplates"),
            Self::ListTools => Some("tools"),
            Self::CallTool
            | Self::CancelTask
            | Self::Complete
            | Self::Discover
            | Self::GetPrompt
            | Self::GetTask
            | Self::Initialize
            | Self::ListTasks
            | Self::Listen
            | Self::Ping
            | Self::ReadResource
            | Self::SetLevel
            | Self::Subscribe
            | Self::TaskResult
            | Self::Unsubscribe
            | Self::UpdateTask => None,
        }
    }

    /// Whether the method names a task.
    pub(crate) fn is_about_task(self) -> bool {
        matches!(self, Self::CancelTask | Self::GetTask | Self::TaskResult | Self::UpdateTask)
    }

    /// Whether the method opens or prepares a connection rather than doing work: such requests
    /// have a budget of their own.
    pub(crate) fn is_handshake(self) -> bool {
        matches!(self, Self::Discover | Self::Initialize | Self::Ping)
            || self.list_member().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_never_answers_the_revision_without_initialize() {
        for (asked, answered) in [
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2024-11-05", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("tomorrow", "2025-11-25"),
        ] {
            assert_eq!(Version::negotiate(asked).as_str(), answered, "{asked}");
        }
    }

    #[test]
    fn removed_methods_are_unknown_in_the_modern_era() {
        for name in ["initialize", "ping", "logging/setLevel", "resources/subscribe"] {
            assert!(Method::parse(name, Era::Legacy).is_some(), "{name}");
            assert!(Method::parse(name, Era::Modern).is_none(), "{name}");
        }
        assert!(Method::is_modern_only("server/discover"));
        assert!(!Method::is_modern_only("tools/list"));
        assert!(Method::parse("tools/frob", Era::Legacy).is_none());
    }

    #[test]
    fn every_method_has_its_own_name() {
        for (method, name, _) in METHODS {
            assert_eq!(method.name(), name);
        }
    }
}
