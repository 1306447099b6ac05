#![allow(clippy::print_stdout, clippy::unwrap_used)]
use turbojpeg::*;
fn cpu() -> f64 { std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6 }
fn main() {
    let files: Vec<Vec<u8>> = std::env::args().skip(1).map(|f| std::fs::read(f).unwrap()).collect();
    let mut buf = Vec::new();
    for _ in 0..2 {
    for (name, f, n, d) in [("gray 1/8", PixelFormat::GRAY,1,8),("bgr 1/8", PixelFormat::BGR,1,8),("bgr 1/4", PixelFormat::BGR,1,4),("bgr 3/8", PixelFormat::BGR,3,8),("bgr 1/2", PixelFormat::BGR,1,2),("bgr 5/8", PixelFormat::BGR,5,8),("bgr 3/4", PixelFormat::BGR,3,4),("bgr 1", PixelFormat::BGR,1,1)] {
        let t = cpu();
        for j in &files {
            let mut dec = Decompressor::new().unwrap();
            let s = ScalingFactor::new(n,d); dec.set_scaling_factor(s).unwrap();
            let h = dec.read_header(j).unwrap().scaled(s);
            buf.resize(h.width*h.height*f.size(), 0u8);
            dec.decompress(j, Image{pixels:&mut buf[..], width:h.width, height:h.height, pitch:h.width*f.size(), format:f}).unwrap();
        }
        println!("{name}: {:.2} ms cpu", (cpu()-t)/files.len() as f64);
    }}
}
