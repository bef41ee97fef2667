//! `report.html`: one file that needs neither other files nor network nor scripts.

mod class;
mod timeline;
mod view;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::run::Run;

const TEMPLATES: [(&str, &str); 4] = [
    ("report", include_str!("report.html.j2")),
    ("index", include_str!("index.html.j2")),
    ("timeline", include_str!("timeline.html.j2")),
    ("style", include_str!("style.css")),
];

/// Why the page could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the template of the HTML report does not fit its data")]
pub struct HtmlError(#[from] minijinja::Error);

/// Renders a run as one self-contained HTML page.
///
/// # Errors
/// Fails only when a template needs something that the data of the page lacks.
pub fn render(run: &Run) -> Result<String, HtmlError> {
    page("report", &view::page(&run.printable()))
}

/// Renders a template.
pub(crate) fn page(template: &str, data: &impl Serialize) -> Result<String, HtmlError> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::Html);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    for (name, source) in TEMPLATES {
        env.add_template(name, source)?;
    }
    Ok(env.get_template(template)?.render(Value::from(Serde(data)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use rstest::rstest;

    #[rstest]
    #[case::passed(fixture::clean())]
    #[case::failed(fixture::deny_leak())]
    #[case::errored(fixture::errored())]
    fn nothing_is_loaded_from_elsewhere(#[case] run: Run) {
        let page = render(&run).unwrap();
        for outside in ["http://", "https://", "src=", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_flow_and_every_outage_is_on_the_page() {
        let run = fixture::deny_leak();
        let page = render(&run).unwrap();
        for flow in &run.flows {
            let in_timeline_and_table =
                page.matches(&format!(">{}<", flow.id.replace('/', "&#x2f;"))).count();
            assert!(in_timeline_and_table >= 2, "{}: {in_timeline_and_table}", flow.id);
        }
        let outages = run.flows.iter().map(|flow| flow.outages.len()).sum::<usize>();
        assert!(outages > 0);
        assert_eq!(page.matches("<article class=\"outage").count(), outages);
        for outage in 1..=outages {
            assert!(page.contains(&format!("href=\"#outage-{outage}\"")), "no bar leads to outage {outage}");
            assert!(page.contains(&format!("id=\"outage-{outage}\"")), "outage {outage} is missing");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "<script>alert('x')</script>\"' onload=\"x()";
        let mut run = fixture::deny_leak();
        let flow = run.flows.iter_mut().find(|flow| !flow.outages.is_empty()).unwrap();
        flow.id = hostile.into();
        flow.path = hostile.into();
        flow.outages[0].class = hostile.into();
        flow.outages[0].attribution.as_mut().unwrap().evidence = hostile.into();
        run.reason = hostile.into();
        run.steps[3].name = hostile.into();
        run.observations[0].what.node = Some(hostile.into());
        run.findings[0].reproduce = hostile.into();
        let page = render(&run).unwrap();
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script"));
        assert!(!page.contains("\"' onload"));
    }

    #[test]
    fn a_run_without_flows_says_so_and_shows_the_failed_step() {
        let page = render(&fixture::errored()).unwrap();
        assert!(page.contains("No traffic was sent"));
        assert!(page.contains("no cpuset controller"));
        assert!(!page.contains("class=\"chart"));
    }

    #[test]
    #[ignore = "writes report-*.html to the temporary folder, to be viewed in a browser"]
    fn write_samples() {
        for (name, run) in
            [("passed", fixture::clean()), ("failed", fixture::deny_leak()), ("errored", fixture::errored())]
        {
            let path = std::env::temp_dir().join(format!("report-{name}.html"));
            std::fs::write(path, render(&run).unwrap()).unwrap();
        }
    }
}
