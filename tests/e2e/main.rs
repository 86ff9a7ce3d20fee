//! Everything that crosses a crate, in one binary so that the services are linked once.

#[cfg(test)]
mod account_page;
#[cfg(test)]
mod account_security;
#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod attack_cases;
#[cfg(test)]
mod attack_table;
#[cfg(test)]
mod audit_events;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod client_documents;
#[cfg(test)]
mod consent_memory;
#[cfg(test)]
mod era_table;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod form_post;
#[cfg(test)]
mod mcp_aggregation;
#[cfg(test)]
mod mcp_authorization;
#[cfg(test)]
mod mcp_backend;
#[cfg(test)]
mod mcp_cases;
#[cfg(test)]
mod mcp_era_cases;
#[cfg(test)]
mod mcp_era_methods;
#[cfg(test)]
mod mcp_era_streams;
#[cfg(test)]
mod mcp_eras;
#[cfg(test)]
mod mcp_health;
#[cfg(test)]
mod mcp_hidden;
#[cfg(test)]
mod mcp_hidden_records;
#[cfg(test)]
mod mcp_hostile;
#[cfg(test)]
mod mcp_identity;
#[cfg(test)]
mod mcp_issuers;
#[cfg(test)]
mod mcp_limits;
#[cfg(test)]
mod mcp_modern;
#[cfg(test)]
mod mcp_plans;
#[cfg(test)]
mod mcp_relay;
#[cfg(test)]
mod mcp_rest;
#[cfg(test)]
mod mcp_revocations;
#[cfg(test)]
mod mcp_shared_limits;
#[cfg(test)]
mod mcp_transport;
#[cfg(test)]
mod mcp_wildcards;
#[cfg(test)]
mod mcp_workspace_modes;
#[cfg(test)]
mod offerings;
#[cfg(test)]
mod openid_connect;
#[cfg(test)]
mod openid_plan;
#[cfg(test)]
mod openid_requests;
#[cfg(test)]
mod openid_upstream;
#[cfg(test)]
mod profile_cases;
#[cfg(test)]
mod profile_hidden_tools;
#[cfg(test)]
mod profile_keys_only;
#[cfg(test)]
mod profile_path_issuer;
#[cfg(test)]
mod profile_split_origins;
#[cfg(test)]
mod profile_workspace_argument;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod resource_settings;
#[cfg(test)]
mod rfc6749_authorize;
#[cfg(test)]
mod rfc6749_client_credentials;
#[cfg(test)]
mod rfc6749_refresh;
#[cfg(test)]
mod rfc6749_token;
#[cfg(test)]
mod rfc6750_bearer;
mod rfc6750_one_answer;
#[cfg(test)]
mod rfc7009_revocation;
#[cfg(test)]
mod rfc7517_jwks;
#[cfg(test)]
mod rfc7523_assertion;
#[cfg(test)]
mod rfc7591_operations;
#[cfg(test)]
mod rfc7591_registration;
#[cfg(test)]
mod rfc7592_management;
#[cfg(test)]
mod rfc7636_pkce;
#[cfg(test)]
mod rfc7662_introspection;
#[cfg(test)]
mod rfc8252_loopback;
#[cfg(test)]
mod rfc8414_metadata;
#[cfg(test)]
mod rfc8707_resource;
#[cfg(test)]
mod rfc9068_token;
#[cfg(test)]
mod rfc9101_request_object;
#[cfg(test)]
mod rfc9110_http;
#[cfg(test)]
mod rfc9207_issuer;
#[cfg(test)]
mod rfc9700_attacks;
#[cfg(test)]
mod rfc9700_reuse;
#[cfg(test)]
mod rfc9728_discovery;
#[cfg(test)]
mod sign_in_throttling;
#[cfg(test)]
mod store_backup;
#[cfg(test)]
mod story_client_connects;
#[cfg(test)]
mod story_integrator_registers;
#[cfg(test)]
mod story_operator_manages_people;
#[cfg(test)]
mod story_operator_rotates_api_keys;
#[cfg(test)]
mod story_operator_rotates_keys;
#[cfg(test)]
mod story_person_takes_back;
#[cfg(test)]
mod story_service_signs_in;
#[cfg(test)]
mod stranger_inputs;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod token_algorithms;
mod traces;
