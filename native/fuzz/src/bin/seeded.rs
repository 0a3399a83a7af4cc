//! Runs fuzz targets on stable Rust: mutations of a corpus by a seeded generator, so that the same seed finds the same
//! failure again. No coverage guides it; that is `cargo fuzz`'s part. It is bounded by time or by iterations, says what
//! it ran, and keeps an input that made a target panic under `artifacts/<target>/`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use pyproxy_fuzz::{TARGETS, Target};

const USAGE: &str =
    "usage: seeded [--target NAME]... [--seconds S | --iterations N] [--seed N] [--corpus DIR] [FILE]...
  runs every target, or those named, for S seconds each (default 5) or N inputs each, from the corpus in DIR
  (default: corpus beside the manifest); with FILEs, runs just these inputs once";

/// Inputs do not grow beyond this: the limits of the targets are reached well before.
const MAX_INPUT_BYTES: usize = 4096;

fn main() -> ExitCode {
    let options = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(mistake) => {
            eprintln!("{mistake}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A failure is told once, by us, with the input that made it.
    panic::set_hook(Box::new(|_| {}));
    for target in &options.targets {
        if let Err(failure) = fuzz(target, &options) {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

struct Options {
    targets: Vec<Target>,
    bound: Bound,
    seed: u64,
    corpus: PathBuf,
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy)]
enum Bound {
    Time(Duration),
    Iterations(u64),
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            targets: Vec::new(),
            bound: Bound::Time(Duration::from_secs(5)),
            seed: 1,
            corpus: Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"),
            files: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` needs a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
            match arg.as_str() {
                "--target" => options.targets.push(target(&value()?)?),
                "--seconds" => options.bound = Bound::Time(Duration::from_secs(number(value()?)?)),
                "--iterations" => options.bound = Bound::Iterations(number(value()?)?),
                "--seed" => options.seed = number(value()?)?,
                "--corpus" => options.corpus = value()?.into(),
                _ if arg.starts_with('-') => return Err(format!("`{arg}` is no option")),
                _ => options.files.push(arg.into()),
            }
        }
        if options.targets.is_empty() {
            options.targets = TARGETS.to_vec();
        }
        Ok(options)
    }
}

fn target(name: &str) -> Result<Target, String> {
    TARGETS.iter().find(|target| target.name == name).copied().ok_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("no target `{name}`; there are {}", known.join(", "))
    })
}

fn fuzz(target: &Target, options: &Options) -> Result<(), String> {
    if !options.files.is_empty() {
        for input in read_all(&options.files)? {
            run(target, &input)?;
        }
        println!("{}: {} given inputs, no failure", target.name, options.files.len());
        return Ok(());
    }
    let corpus = corpus(&options.corpus.join(target.name))?;
    for input in &corpus {
        run(target, input)?;
    }
    let started = Instant::now();
    let mut random = Random(options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut inputs = 0_u64;
    let mut input = Vec::new();
    while match options.bound {
        Bound::Iterations(most) => inputs < most,
        Bound::Time(most) => !inputs.is_multiple_of(64) || started.elapsed() < most,
    } {
        input.clone_from(random.pick(&corpus));
        for _ in 0..=random.below(6) {
            mutate(&mut input, &corpus, target.words, &mut random);
        }
        run(target, &input)?;
        inputs += 1;
    }
    let name = target.name;
    let took = started.elapsed().as_secs_f64();
    println!("{name}: {} seeds, {inputs} mutations in {took:.1} s (seed {}), no failure", corpus.len(), options.seed);
    Ok(())
}

fn corpus(directory: &Path) -> Result<Vec<Vec<u8>>, String> {
    let entries = fs::read_dir(directory).map_err(|e| format!("corpus {}: {e}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort(); // the same seed must see the same corpus
    let corpus = read_all(&files)?;
    if corpus.is_empty() { Err(format!("corpus {} is empty", directory.display())) } else { Ok(corpus) }
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    files.iter().map(|file| fs::read(file).map_err(|e| format!("{}: {e}", file.display()))).collect()
}

/// Runs one input; if it panics, keeps it and says how to see it again.
fn run(target: &Target, input: &[u8]) -> Result<(), String> {
    let Err(panic) = panic::catch_unwind(|| (target.run)(input)) else { return Ok(()) };
    let why = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    let file = directory.join(format!("seeded-{:016x}", fnv1a(input)));
    let kept = match fs::create_dir_all(&directory).and_then(|()| fs::write(&file, input)) {
        Ok(()) => format!("kept as {}", file.display()),
        Err(e) => format!("could not be kept: {e}"),
    };
    Err(format!(
        "{} FAILED: {}\n  input: b\"{}\"\n  {kept}",
        target.name,
        why.unwrap_or("a panic"),
        input.escape_ascii()
    ))
}

/// A name for an input, no more.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(32) + 1);
    let word: &[u8] = if words.is_empty() { b"\0" } else { words[random.below(words.len())] };
    match random.below(9) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 => drop(input.drain(at..end)),
        3 => input.extend_from_within(at..end),
        4 => {
            // The rest of another seed: two halves that were not made for each other.
            let other = random.pick(corpus);
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        5 => input.insert(at, random.below(256) as u8),
        6 => drop(input.splice(at..end, word.iter().copied())),
        7 => {
            // Twice in place, as a field line repeated.
            let twice = input[at..end].to_vec();
            drop(input.splice(at..at, twice));
        }
        _ => drop(input.splice(at..at, word.iter().copied())),
    }
    input.truncate(MAX_INPUT_BYTES);
}

/// xorshift64* (Marsaglia 2003, Vigna 2016): repeatable, and good enough to shuffle bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
