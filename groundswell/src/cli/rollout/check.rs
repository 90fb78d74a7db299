//! `groundswell rollout check`: what is wrong with a spec before it starts.

use std::{fmt::Write as _, path::Path};

use groundswell_core::lint::Finding;
use serde::Serialize;

use super::super::{
    place::SpecFile,
    state::{self, Told},
    text::count,
};
use crate::{
    clock::Clock,
    operate::{Checked, OperateError},
};

/// What is exited with if start would refuse it.
const REFUSED: u8 = 2;

#[derive(Serialize)]
struct Shown<'a> {
    errors: usize,
    warnings: usize,
    #[serde(flatten)]
    checked: &'a Checked,
}

pub(super) fn check(on: &state::On, file: &Path) -> Result<u8, Told> {
    let checked = match on.place()?.check(&SpecFile(file), Clock::System.now()) {
        Ok(checked) => checked,
        Err(Told::Operate(error)) => return mistakes(on, *error),
        Err(told) => return Err(told),
    };
    let errors = checked.findings.iter().filter(|finding| finding.is_error()).count();
    let shown = Shown { errors, warnings: checked.findings.len() - errors, checked: &checked };
    on.show(&shown, || words(file, &shown))?;
    Ok(if errors > 0 { REFUSED } else { 0 })
}

/// A file that is no spec: programs read all that is wrong with it where they read findings, people
/// as of any other refusal.
fn mistakes(on: &state::On, error: OperateError) -> Result<u8, Told> {
    let is_read = on.output() == state::Output::Json;
    let Some((checked, more)) = Checked::of_mistakes(&error).filter(|_| is_read) else {
        return Err(error.into());
    };
    let errors = checked.findings.len() + more;
    on.show(&Shown { errors, warnings: 0, checked: &checked }, String::new)?;
    Ok(REFUSED)
}

fn words(file: &Path, shown: &Shown<'_>) -> String {
    let Shown { errors, warnings, checked } = shown;
    let mut words = format!("{}: ", file.display());
    if let (Some(release), Some(devices)) = (&checked.release, checked.devices) {
        let devices = count(devices, "device");
        let _ = write!(words, "{} {} to {devices}: ", release.name, release.version);
    }
    let told = match (*errors as u64, *warnings as u64) {
        (0, 0) => "nothing is wrong with it".to_owned(),
        (0, warnings) => count(warnings, "warning"),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => {
            format!("{} and {}", count(errors, "error"), count(warnings, "warning"))
        }
    };
    words.push_str(&told);
    words.push_str(&lines(&checked.findings, "\n  "));
    words
}

/// Findings, each on a line of its own behind what stands before it.
pub(super) fn lines(findings: &[Finding], before: &str) -> String {
    findings.iter().fold(String::new(), |mut lines, finding| {
        let _ = write!(lines, "{before}{}: {finding}", finding.severity);
        lines
    })
}
