//! The `script` executor: runs a script that is part of the job, `{"payload": {"script": "print(6 * 7)"}}`, with the
//! interpreter that `config:set script.interpreter NAME` chose, or Python.
use queuectl_plugin_api::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    script: String,
}

struct Scripts(String);

impl Executor for Scripts {
    const DESCRIPTION: Description = Description {
        name: "script",
        version: env!("CARGO_PKG_VERSION"),
        about: "Runs a script that is part of the job",
        schema: r#"{"type": "object", "required": ["script"], "properties": {"script": {"type": "string"}}}"#,
        settings_schema: r#"{"type": "object", "properties": {"interpreter": {"type": "string"}}}"#,
        ..Description::EMPTY
    };
    fn create(_host: Host, settings: &Settings) -> Result<Self, Error> {
        let name = settings.get("interpreter").unwrap_or("python3");
        Ok(Scripts(name.to_owned()))
    }
    fn validate(&self, request: &Request) -> Result<(), Error> {
        request.payload::<Script>().map(drop)
    }
    fn start(&self, run: Run) -> Result<(), StartError> {
        let request = run.request();
        let script = request.payload::<Script>()?.script;
        let words = [self.0.as_str(), "-c", &script];
        let spawn = Spawn::argv(words).envs(request.env());
        run.spawn(&spawn.cwd(request.cwd()).stdin(request.stdin()))?;
        Ok(())
    }
}

export_executor!(Scripts);
