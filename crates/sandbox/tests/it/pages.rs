//! The pages about the sandbox are correct: every curl line works, and every fault and switch is
//! listed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Bench, INTEGRATIONS};

fn page(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn the_first_step_makes_an_integration() {
    let bench = Bench::start().await;
    let page = page("sandbox.md");
    let step = page
        .split("## An integration\n")
        .nth(1)
        .unwrap()
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next();
    let script = step.unwrap().replace("http://127.0.0.1:8082", &bench.running.url());
    let bash = tokio::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&bash.stdout).into_owned();
    let made: Value =
        serde_json::from_str(told.trim()).unwrap_or_else(|error| panic!("{error} in {told}"));
    let shown = bench.get(&format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap())).await.json();
    assert_eq!((&made["createStatus"], &shown["name"]), (&json!("Initiated"), &json!("acme")));
}

/// A curl line, as far as the pages use curl.
#[derive(Debug)]
struct Curl {
    method: Method,
    path: String,
    body: Option<String>,
}

/// The curl lines of a page.
fn curls(page: &str) -> Vec<Curl> {
    page.lines().filter(|line| line.starts_with("curl ")).map(curl).collect()
}

fn curl(line: &str) -> Curl {
    let mut words = words(line).into_iter().skip(1);
    let (mut method, mut url, mut body) = (None, None, None);
    while let Some(word) = words.next() {
        match &*word {
            "-X" => method = words.next().map(|named| named.parse().unwrap()),
            "-d" => body = words.next(),
            _ if word.starts_with('-') => panic!("the test does not know {word} of {line}"),
            _ => assert!(url.replace(word).is_none(), "two addresses in {line}"),
        }
    }
    let path =
        url.unwrap().strip_prefix("localhost:8082").expect("the sandbox's address").to_owned();
    let method = method.unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    Curl { method, path, body }
}

/// The words of a shell line: single quotes keep a word together, and `#` ends the line.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    assert!(!quoted, "a quote is not closed: {line}");
    words.extend(word);
    words
}

async fn run(bench: &Bench, curl: &Curl) -> Answer {
    let request =
        bench.client.request(curl.method.clone(), format!("{}{}", bench.running.url(), curl.path));
    Answer::of(request.body(curl.body.clone().unwrap_or_default()).send().await.unwrap()).await
}

#[tokio::test]
async fn every_line_of_the_pages_works() {
    for name in ["sandbox.md", "sandbox-faults.md", "sandbox-switches.md"] {
        let mut bench = Bench::start().await;
        bench
            .patch(&format!("{INTEGRATIONS}/{}", bench.integration), &json!({"name": "acme"}))
            .await
            .json();
        let lines = curls(&page(name));
        assert!(lines.len() >= 2, "{name} has lost its lines");
        for line in lines {
            // What one line broke or ended must not affect the next.
            bench.running.handle.clear_faults();
            bench.token = bench.new_token().await;
            bench.customer_writes("noor").await;
            let answer = run(&bench, &line).await;
            assert!(
                (200..300).contains(&answer.status),
                "{name}: {line:?} got {} {}",
                answer.status,
                answer.text()
            );
            if line.path == "/sandbox/faults" && line.method == Method::POST {
                let rule: Value = serde_json::from_str(line.body.as_deref().unwrap()).unwrap();
                let rules = answer.value();
                let listed = rules.as_array().unwrap().last().unwrap();
                assert_eq!(
                    (&listed["on"], &listed["action"], &listed["times"]),
                    (&rule["on"], &rule["action"], &rule["times"])
                );
            }
        }
    }
}

#[tokio::test]
async fn the_faults_page_names_every_target_and_action() {
    let bench = Bench::start().await;
    let page = page("sandbox-faults.md");
    let posted: Vec<Value> = curls(&page)
        .iter()
        .filter_map(|line| serde_json::from_str(line.body.as_deref()?).ok())
        .collect();
    for (rule, field) in [
        (json!({"on": "?", "action": "duplicate"}), "on"),
        (json!({"on": "api", "action": "?"}), "action"),
    ] {
        let refused = bench.post("/sandbox/faults", &rule).await;
        assert_eq!(refused.status, 400);
        let error = refused.value()["error"].as_str().unwrap().to_owned();
        // unknown variant `?`, expected one of `token`, `api`, …
        let known: Vec<_> = error.split('`').skip(3).step_by(2).collect();
        assert!(known.len() > 9, "{error}");
        for name in known {
            let used = |rule: &Value| rule[field] == *name || rule[field].get(name).is_some();
            assert!(posted.iter().any(used), "the page has no line for {name}");
        }
    }
}

#[tokio::test]
async fn the_switches_page_is_the_program() {
    let bench = Bench::start().await;
    let page = page("sandbox-switches.md");
    let described = bench.get("/sandbox/switches?describe=true").await.json();
    let plain = bench.get("/sandbox/switches").await.json();
    let cell = |text: &str| text.trim().to_owned();
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(cell).collect())
        .collect();
    let described = described.as_array().unwrap();
    assert_eq!(rows.len(), described.len());
    assert_eq!(plain.as_object().unwrap().len(), described.len());
    for (row, switch) in rows.iter().zip(described) {
        let [name, default, values, description] = &row[..] else { panic!("{row:?}") };
        assert_eq!(name.trim_matches('`'), switch["name"]);
        assert_eq!(values.replace('`', ""), switch["values"].as_str().unwrap());
        assert_eq!(*description, switch["description"]);
        // A duration may be written in more than one way, so values are compared, not texts.
        let name = name.trim_matches('`');
        let value: Value = serde_json::from_str(default.trim_matches('`')).unwrap();
        let set = bench.put("/sandbox/switches", &json!({name: value})).await.json();
        assert_eq!((&set[name], &plain[name]), (&switch["default"], &switch["default"]), "{name}");
    }
}
