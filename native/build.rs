//! With the feature `compiled`: has Cython translate the driver's modules on the path of every call, and links them into the extension.
//!
//! The Python files stay what they are; `*.pxd` beside them give the types. Without the feature they run uncompiled.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PYO3_PYTHON");
    #[cfg(feature = "compiled")]
    compiled::build();
}

#[cfg(feature = "compiled")]
mod compiled {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// The driver's modules that every call passes through; `compiled.rs` initialises them.
    const MODULES: [&str; 4] = ["downstream", "upstream", "pool", "endpoints"];

    pub(super) fn build() {
        let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the project");
        let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let include =
            output(Command::new(&python).args(["-c", "import sysconfig; print(sysconfig.get_path('include'))"]));

        let mut build = cc::Build::new();
        build.include(include.trim()).opt_level(2).warnings(false);
        // The extension is one module: what Cython makes is initialised by it, at once, in one interpreter.
        build.define("CYTHON_PEP489_MULTI_PHASE_INIT", "0");
        for module in MODULES {
            for ending in ["py", "pxd"] {
                println!("cargo::rerun-if-changed=../pyproxy/{module}.{ending}");
            }
            let c = out.join(format!("{module}.c"));
            output(
                Command::new(&python)
                    .current_dir(root)
                    // Annotations say what a person expects; the types that Cython may rely on are in the pxd.
                    .args(["-m", "cython", "-3", "-X", "annotation_typing=False", "-o"])
                    .arg(&c)
                    .arg(format!("pyproxy/{module}.py")),
            );
            build.file(c);
        }
        build.compile("pyproxy_driver");
    }

    fn output(command: &mut Command) -> String {
        let done = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let says = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command:?} failed; is Cython installed for this Python?\n{says}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}
