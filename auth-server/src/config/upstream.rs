//! The `[[auth.upstream]]` tables, checked.

use std::collections::{BTreeMap, BTreeSet};

use shared::{deployment::Issuer, ids::WorkspaceId, problem::Problem, secret::Secret};

use super::{ConfiguredWorkspace, RawUpstream};
use crate::{rules::upstream::WorkspaceClaim, upstream::UpstreamConfig};

/// Checks every table; problems are added to the list.
pub(super) fn upstreams(
    raw: &[RawUpstream],
    workspaces: &BTreeMap<WorkspaceId, ConfiguredWorkspace>,
    read: &dyn Fn(&str) -> Result<String, String>,
    problems: &mut Vec<Problem>,
) -> Vec<UpstreamConfig> {
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    for (at, raw) in raw.iter().enumerate() {
        let place = |key: &str| format!("auth.upstream[{at}].{key}");
        let mut problem = |key: &str, what: &str, remedy: &str| {
            problems.push(Problem::new(place(key), what.to_owned(), remedy));
        };
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if raw.id.is_empty() || !raw.id.bytes().all(letters) {
            problem("id", "holds more than letters, digits, - and _", "write it like google");
        }
        if !seen.insert(raw.id.as_str()) {
            problem("id", "is given twice", "give each provider an id of its own");
        }
        // Providers with a trailing slash exist, and it belongs to their name.
        if Issuer::parse(raw.issuer.trim_end_matches('/')).is_err() {
            let what = "is neither an https URL nor on loopback";
            problem("issuer", what, "write it as the provider's own document has it");
        }
        if raw.client_id.is_empty() {
            problem("client_id", "is empty", "register this server there, and write its id");
        }
        let mut file = |key: &str, path: Option<&String>| {
            let text = path.map(|path| read(path)).transpose();
            text.unwrap_or_else(|error| {
                problem(key, &error, "write that file");
                None
            })
        };
        let client_secret = file("client_secret_file", raw.client_secret_file.as_ref());
        let authority = file("ca_file", raw.ca_file.as_ref());
        let mut claims = Vec::new();
        for one in &raw.workspace {
            match WorkspaceId::parse(&one.workspace) {
                Ok(workspace) if workspaces.contains_key(&workspace) => {
                    claims.push(WorkspaceClaim {
                        claim: one.claim.clone(),
                        role: one.role.clone(),
                        value: one.value.clone(),
                        workspace,
                    });
                }
                _ => {
                    let what =
                        format!("names the workspace {:?}, which is not here", one.workspace);
                    problem("workspace", &what, "add an [[auth.workspace]] or correct the name");
                }
            }
        }
        checked.push(UpstreamConfig {
            authority,
            client_id: raw.client_id.clone(),
            client_secret: client_secret.map(|text| Secret::new(text.trim_end().to_owned())),
            creates_accounts: raw.create_accounts,
            id: raw.id.clone(),
            issuer: raw.issuer.clone(),
            name: raw.name.clone(),
            scopes: raw.scopes.clone(),
            workspaces: claims,
        });
    }
    checked
}
