//! Every form of RFC 6570 section 3.2 that can carry a workspace, and what is made of it.

use proptest::prelude::*;

use super::*;

fn values(template: &str, uri: &str) -> Values {
    let template = Template::parse(template).unwrap();
    let found = if template.fits(uri) { template.values("w", uri) } else { Values::None };
    found.and(named("w", uri))
}

fn one(text: &str) -> Values {
    Values::One(text.to_owned())
}

#[test]
fn every_form_of_an_expression_tells_its_value() {
    for (template, uri, expected) in [
        ("crm://{w}/deals", "crm://acme/deals", one("acme")),
        ("crm://{w}/deals", "crm://ac%3Ame/deals", one("ac:me")),
        ("crm://{w}/deals", "crm://%2561cme/deals", one("%61cme")),
        ("crm://{w*}/deals", "crm://acme/deals", one("acme")),
        ("crm://{+w}/deals", "crm://a/b/deals", one("a/b")),
        ("crm://x{#w}", "crm://x#acme", one("acme")),
        ("crm://x{.w}", "crm://x.acme", one("acme")),
        ("crm://x{/w}/deals", "crm://x/acme/deals", one("acme")),
        ("crm://x{/w,id}", "crm://x/acme/7", one("acme")),
        ("crm://x{/w,id}", "crm://x/acme", one("acme")),
        ("crm://x{/kind,w,id}", "crm://x/deals/acme", Values::Several),
        ("crm://x{/w*}", "crm://x/acme/beta", Values::Several),
        ("crm://x{;w,id}", "crm://x;w=acme;id=7", one("acme")),
        ("crm://x{?w,id}", "crm://x?w=acme&id=7", one("acme")),
        ("crm://x{?id,w}", "crm://x?id=7&W=acme", one("acme")),
        ("crm://x{?w*}", "crm://x?w=acme&w=beta", Values::Several),
        ("crm://x?id=1{&w}", "crm://x?id=1&%77=acme", one("acme")),
        ("crm://x?w={w}", "crm://x?w=acme", one("acme")),
        ("crm://{w}/{w}", "crm://acme/acme", one("acme")),
        ("crm://{w}/{w}", "crm://acme/beta", Values::Several),
        ("crm://{W}/deals", "crm://acme/deals", one("acme")),
        ("crm://X/{w}", "CRM://x/acme", one("acme")),
        ("crm://{kind}/{id}", "crm://deals/7", Values::None),
        ("crm://x{?w}", "crm://x", Values::None),
        ("crm://{w}", "crm://acme?page=2#top", one("acme")),
        ("crm://{w}/deals", "crm://acme/deals/", one("acme")),
        ("crm://{w}/deals", "crm://acme;v=1/deals", one("acme")),
        ("crm://{w}{;v}", "crm://acme;v=1", one("acme")),
        ("crm://{w}/deals", "crm://acme/deals&x", one("acme")),
        ("crm://{w}{?page}", "crm://acme?page=2", one("acme")),
        ("crm://{w}-{id}", "crm://a-b-c", Values::Several),
        ("crm://{+path}/w/{w}", "crm://a/w/b/w/acme", one("acme")),
    ] {
        assert_eq!(values(template, uri), expected, "{template} {uri}");
    }
}

#[test]
fn a_uri_fits_its_template() {
    for (template, uri, expected) in [
        ("crm://contacts/{id}", "crm://contacts/7", true),
        ("crm://contacts/{id}", "crm://deals/7", false),
        ("crm://contacts/{id}", "crm://contacts/7/8", false),
        ("crm://contacts/{+id}", "crm://contacts/7/8", true),
        ("crm://contacts/{id}", "crm://contacts/7?all=1", true),
        ("crm://{kind}/{id}/notes", "crm://deals/7/notes", true),
        ("crm://{kind}/{id}/notes", "crm://deals/7", false),
        ("crm://fixed", "crm://fixed", true),
        ("crm://fixed", "crm://fixed/more", false),
        ("crm://x{?q}", "crm://x", true),
        ("crm://x{?q}", "crm://x?q=1", true),
        ("crm://x{?q}", "crm://xq=1", false),
        ("crm://x{/a,b}", "crm://x/1/2", true),
        ("{+anything}", "", true),
    ] {
        assert_eq!(Template::parse(template).unwrap().fits(uri), expected, "{template} {uri}");
    }
}

#[test]
fn what_cannot_be_told_is_named() {
    for (template, expected) in [
        ("crm://{w:3}", Err(Untold::Prefix)),
        ("crm://x{?w:3}", Err(Untold::Prefix)),
        ("crm://{w,id}", Err(Untold::Shared)),
        ("crm://{+id,w}", Err(Untold::Shared)),
        ("crm://x{.w,format}", Err(Untold::Shared)),
        ("crm://x{/w,path*}", Err(Untold::Shared)),
        ("crm://{w}{id}", Err(Untold::Adjacent)),
        ("crm://{id}{w}", Err(Untold::Adjacent)),
        ("crm://{w}{.format}", Err(Untold::Adjacent)),
        ("crm://{w}{/id}", Ok(())),
        ("crm://{id}{/w}{?page}", Ok(())),
        ("crm://{id:3}/{w}", Ok(())),
        ("crm://x{/w,id}", Ok(())),
        ("crm://x{?w,id*}", Ok(())),
    ] {
        assert_eq!(Template::parse(template).unwrap().check("w"), expected, "{template}");
    }
    for text in ["crm://{w", "crm://w}", "crm://{}", "crm://{=w}", "crm://{w:x}", "crm://{a b}"] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
}

/// What a conforming writer makes of a value (RFC 6570 section 3.2.1).
fn written(operator: &str, value: &str) -> String {
    let escape = |text: &str, keeps: &str| -> String {
        text.bytes()
            .map(|byte| match char::from(byte) {
                c if c.is_ascii_alphanumeric() || "-._~".contains(c) || keeps.contains(c) => {
                    c.to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let plain = escape(value, "");
    match operator {
        "" => plain,
        "+" => escape(value, ":/?#[]@!$&'()*+,;="),
        "#" => format!("#{}", escape(value, ":/?#[]@!$&'()*+,;=")),
        "." => format!(".{plain}"),
        "/" => format!("/{plain}"),
        ";" => format!(";w={plain}"),
        "?" => format!("?w={plain}"),
        "&" => format!("&w={plain}"),
        _ => unreachable!("no operator"),
    }
}

proptest! {
    #[test]
    fn whatever_a_writer_makes_of_a_workspace_is_told_or_doubted_but_never_missed(
        operator in prop::sample::select(vec!["", "+", "#", ".", "/", ";", "?", "&"]),
        workspace in "[A-Za-z0-9_.:-]{1,12}",
        before in prop::sample::select(vec!["crm://", "crm://{kind}/", "crm://x/{+path}/w/"]),
        after in prop::sample::select(vec!["", "/deals", "/deals/{id}", "{?page}"]),
        kind in "[a-z0-9]{1,4}",
        path in "[a-z/w]{1,6}",
    ) {
        let template = format!("{before}{{{operator}w}}{after}");
        let fill = |text: &str| {
            text.replace("{kind}", &kind).replace("{+path}", &path).replace("{id}", "7")
                .replace("{?page}", "?page=2")
        };
        let uri = format!("{}{}{}", fill(before), written(operator, &workspace), fill(after));
        prop_assume!(Template::parse(&template).unwrap().check("w").is_ok());
        let found = values(&template, &uri);
        prop_assert!(
            found == Values::One(workspace.clone()) || found == Values::Several,
            "{} {} {:?}", template, uri, found
        );
    }
}
