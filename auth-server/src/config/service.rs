//! What a client of the deployment file may do without a person.

use std::collections::BTreeSet;

use shared::{deployment::Deployment, problem::Problem};

use super::raw::RawClient;
use crate::rules::client::ServiceAccount;

/// The service account of the `[[client]]` table at this place, if it has one.
pub(super) fn resolve(
    raw: &RawClient,
    at: usize,
    deployment: &Deployment,
    problems: &mut Vec<Problem>,
) -> Option<ServiceAccount> {
    let place = format!("client[{at}].service.introspects");
    let service = raw.service.as_ref()?;
    if raw.secret_file.is_none() {
        let what = "belongs to a client without a secret, which anybody could pretend to be";
        problems.push(Problem::new(place.clone(), what, "add secret_file"));
    }
    let mut introspects = BTreeSet::new();
    for name in &service.introspects {
        match deployment.resource(name) {
            Some(resource) => _ = introspects.insert(resource.indicator.clone()),
            None => problems.push(Problem::new(
                place.clone(),
                format!("names {name}, which is no resource"),
                "write the url of a [[resource]]",
            )),
        }
    }
    Some(ServiceAccount { introspects, ..ServiceAccount::default() })
}
