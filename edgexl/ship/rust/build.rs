//! Compiles `c/edgexl.c` by the C compiler that `CC_<target>`, `TARGET_CC` or `CC` names, else by the target's usual
//! one, and packs it by `AR` in the same way. `CFLAGS`, named likewise, are added.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

fn main() {
    println!("cargo:rerun-if-changed=c");
    let out = PathBuf::from(cargo("OUT_DIR"));
    let (system, environment) = (cargo("CARGO_CFG_TARGET_OS"), cargo("CARGO_CFG_TARGET_ENV"));
    if environment == "msvc" {
        fail("the runtime is C11 with GNU's attributes, which MSVC does not compile; take a -gnu or -gnullvm target");
    }
    let (compiler, flags) = (tool("CC").unwrap_or_else(usual_compiler), named("CFLAGS").unwrap_or_default());
    let mut objects = Vec::new();
    for name in ["edgexl", "layout"] {
        let (source, object) = (Path::new("c").join(name).with_extension("c"), out.join(name).with_extension("o"));
        let mut command = call(&compiler);
        // -O3 in debug builds, too: without it a query takes ten times as long
        command.args(["-std=gnu11", "-O3", "-DNDEBUG", "-ffp-contract=off", "-fvisibility=hidden"]);
        command.args(["-ffunction-sections", "-fdata-sections"]);
        if system != "windows" {
            command.arg("-fPIC");
        }
        run(command.args(flags.split_whitespace()).args(["-Ic", "-c"]).arg(source).arg("-o").arg(&object));
        objects.push(object);
    }
    let archive = out.join("libedgexl.a");
    let _ = std::fs::remove_file(&archive);
    run(call(&tool("AR").unwrap_or_else(usual_archiver)).arg("crs").arg(&archive).args(objects));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=edgexl");
    let libraries: &[&str] = match system.as_str() {
        "windows" => &["shell32"],
        "macos" | "ios" | "tvos" | "watchos" | "visionos" => &[],
        "android" => &["m", "dl"],
        _ => &["m", "dl", "pthread"],
    };
    for library in libraries {
        println!("cargo:rustc-link-lib={library}");
    }
}

/// What the environment says of a tool, most exact first.
fn named(variable: &str) -> Option<String> {
    let target = cargo("TARGET");
    let own = [format!("{variable}_{target}"), format!("{variable}_{}", target.replace('-', "_"))];
    let kind = if target == cargo("HOST") { "HOST" } else { "TARGET" };
    let others = [format!("{kind}_{variable}"), variable.to_string()];
    own.into_iter().chain(others).find_map(|name| {
        println!("cargo:rerun-if-env-changed={name}");
        env::var(name).ok().filter(|value| !value.trim().is_empty())
    })
}

/// A program, with what it is called with; a path with spaces in it is one word where there is such a file.
fn tool(variable: &str) -> Option<Vec<String>> {
    named(variable).map(|value| {
        if Path::new(&value).is_file() {
            return vec![value];
        }
        value.split_whitespace().map(str::to_string).collect()
    })
}

fn usual_compiler() -> Vec<String> {
    let target = cargo("TARGET");
    if target.contains("-apple-") && target != cargo("HOST") {
        return apple_compiler(&target);
    }
    vec![prefix("gcc").unwrap_or_else(|| "cc".to_string())]
}

fn usual_archiver() -> Vec<String> {
    vec![prefix("ar").unwrap_or_else(|| "ar".to_string())]
}

/// The name of a GNU tool for another processor or system than this one.
fn prefix(tool: &str) -> Option<String> {
    let target = cargo("TARGET");
    if target == cargo("HOST") || target.contains("-apple-") {
        return None;
    }
    let (processor, rest) = target.split_once('-')?;
    let system = rest.strip_prefix("unknown-").unwrap_or(rest);
    let processor = if processor.starts_with("armv7") { "arm" } else { processor };
    let processor = if processor.starts_with("riscv64") { "riscv64" } else { processor };
    let system = if system.contains("windows") { "w64-mingw32" } else { system };
    Some(format!("{processor}-{system}-{tool}"))
}

/// Xcode's clang, with the SDK of an iPhone, its simulator or a Mac.
fn apple_compiler(target: &str) -> Vec<String> {
    let simulator = target.ends_with("-sim") || target.starts_with("x86_64-apple-ios");
    let sdk = match (target.contains("-ios"), simulator) {
        (true, false) => "iphoneos",
        (true, true) => "iphonesimulator",
        _ => "macosx",
    };
    let (processor, system) = target.split_once("-apple-").unwrap_or((target, "darwin"));
    let processor = if processor == "aarch64" { "arm64" } else { processor };
    let triple = match (system.starts_with("ios"), simulator) {
        (true, true) => format!("{processor}-apple-ios13.0-simulator"),
        (true, false) => format!("{processor}-apple-ios13.0"),
        _ => format!("{processor}-apple-macosx11.0"),
    };
    ["xcrun", "--sdk", sdk, "clang", "-target", &triple].map(str::to_string).to_vec()
}

fn call(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn run(command: &mut Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{command:?} ended with {status}")),
        Err(error) => fail(&format!("{:?} cannot be called: {error}; name it in CC or AR", command.get_program())),
    }
}

fn cargo(variable: &str) -> String {
    env::var(variable).unwrap_or_default()
}

fn fail(sentence: &str) -> ! {
    eprintln!("edgexl for {}: {sentence}", cargo("TARGET"));
    exit(1)
}
