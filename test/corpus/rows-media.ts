// Images, sound, video, documents. Inputs are made by the programs themselves or are small texts.

import type { CorpusProgram } from "./programs.ts";

/** A picture of 96 × 64 pixels as PPM, from awk. */
const PICTURE = `awk 'BEGIN { print "P3 96 64 255"; for (y = 0; y < 64; y++) for (x = 0; x < 96; x++) print int(127 + 127 * sin(x / 9)), int(x * y / 24) % 256, (x * 7 + y * 13) % 256 }' >in.txt; cjpeg -quality 95 in.txt | djpeg -ppm >in.ppm`;
/** A second of sound as WAV. */
const SOUND = "sox -D -n -r 22050 -c 2 -b 16 in.wav synth 1 sine 440 sine 660 tremolo 5 60";

export const MEDIA: readonly CorpusProgram[] = [
  {
    name: "cjpeg and djpeg",
    root: "everyday",
    package: "libjpeg-turbo-progs",
    script: `${PICTURE}; cjpeg -quality 80 in.ppm >a.jpg; cjpeg -progressive -optimize in.ppm >b.jpg; djpeg a.jpg | cksum; djpeg -dct float -scale 1/2 b.jpg | cksum; jpegtran -rotate 90 a.jpg | djpeg | cksum; sha256sum a.jpg b.jpg; cjpeg -dct float -sample 1x1 in.ppm | cksum`,
  },
  {
    name: "imagemagick",
    root: "media",
    package: "imagemagick-6.q16",
    script: `${PICTURE}; convert-im6.q16 in.ppm -resize 50% -blur 0x1.5 -modulate 110,80 -define png:exclude-chunks=date,time -strip a.png; identify-im6.q16 -format '%w %h %k %[mean]\\n' a.png; convert-im6.q16 in.ppm -rotate 30 -swirl 40 -depth 8 gray:- | cksum; convert-im6.q16 in.ppm -quality 75 b.jpg; convert-im6.q16 a.png -colorspace Lab -separate -append ppm:- | cksum; compare-im6.q16 -metric RMSE in.ppm b.jpg null: || echo; convert-im6.q16 -size 40x20 gradient:red-blue -depth 8 gray:- | cksum; montage-im6.q16 in.ppm a.png -geometry +2+2 ppm:- | cksum; convert-im6.q16 in.ppm -charcoal 2 -posterize 4 txt:- | md5sum; rm b.jpg a.png`,
    seconds: 300,
  },
  {
    name: "graphicsmagick",
    root: "media",
    package: "graphicsmagick",
    script: `${PICTURE}; gm convert in.ppm -resize 150% -sharpen 0x1 out.ppm; gm identify -format '%w %h\\n' out.ppm; cksum out.ppm; gm convert in.ppm -emboss 2 -edge 1 gray:- | cksum; gm compare -metric mse in.ppm in.ppm | head -5`,
  },
  {
    name: "pngquant and optipng",
    root: "media",
    package: "pngquant",
    script: `${PICTURE}; convert-im6.q16 in.ppm -strip -define png:exclude-chunks=date,time a.png; pngquant --speed 3 16 -o b.png a.png; optipng -quiet -o3 -out c.png a.png; identify-im6.q16 -format '%k\\n' b.png; sha256sum b.png; convert-im6.q16 c.png ppm:- | cksum; rm a.png c.png`,
  },
  {
    name: "webp",
    root: "media",
    package: "webp",
    script: `${PICTURE}; cwebp -quiet -q 70 in.ppm -o a.webp; cwebp -quiet -lossless -m 4 in.ppm -o b.webp; dwebp -quiet b.webp -ppm -o - | cksum; dwebp -quiet a.webp -ppm -o - | cksum; webpinfo a.webp | head -8; sha256sum a.webp b.webp`,
  },
  {
    name: "sox",
    root: "media",
    package: "sox",
    script: `${SOUND}; sox -D in.wav out.wav rate 16000 reverb 20 fade 0.1 1 0.1 equalizer 1000 1q 6; sox out.wav -n stat; sha256sum in.wav out.wav; sox -D in.wav -t raw -e float -b 32 - pitch 200 | cksum; soxi in.wav | grep -v Input`,
  },
  {
    name: "flac",
    root: "media",
    package: "flac",
    script: `${SOUND}; flac -s -8 -f in.wav -o a.flac; flac -s -d a.flac -o b.wav; cmp in.wav b.wav; metaflac --list a.flac | head -20; flac -t -s a.flac; sha256sum a.flac`,
  },
  {
    name: "oggenc, lame, opusenc",
    root: "media",
    package: "vorbis-tools",
    script: `${SOUND}; oggenc -Q -s 1 -q 4 in.wav -o a.ogg; oggdec -Q a.ogg -o b.wav; sha256sum a.ogg b.wav; lame --quiet -V 4 in.wav c.mp3; lame --quiet --decode c.mp3 d.wav; cksum c.mp3 d.wav; opusenc --quiet --serial 1 in.wav e.opus; opusdec --quiet --no-dither e.opus f.wav; cksum f.wav; rm *.mp3 *.opus *.wav`,
    seconds: 240,
  },
  {
    name: "ffmpeg",
    root: "media",
    package: "ffmpeg",
    script: `f='ffmpeg -hide_banner -loglevel error -nostdin -bitexact -threads 2'; $f -f lavfi -i testsrc=size=96x64:rate=10:duration=1 -f lavfi -i sine=440:duration=1 -c:v mpeg4 -c:a aac -flags bitexact -fflags bitexact a.mp4; ffprobe -hide_banner -v error -show_entries stream=codec_name,width,nb_frames -of csv a.mp4; $f -i a.mp4 -f framemd5 - | tail -3; $f -i a.mp4 -vf scale=48:32,hue=s=0 -c:v libx264 -x264-params threads=1 -preset fast -an b.mkv; $f -i b.mkv -f md5 -; rm -f a.mp4 b.mkv`,
    seconds: 900,
  },
  {
    name: "poppler and qpdf",
    root: "media",
    package: "poppler-utils",
    script: `awk 'BEGIN { s = "BT /F1 24 Tf 20 60 Td (Hello world) Tj ET 0.5 g 10 10 50 20 re f"; printf "%%PDF-1.4\\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj\\n4 0 obj<</Length %d>>stream\\n%s\\nendstream endobj\\ntrailer<</Root 1 0 R>>\\n", length(s), s }' >a.pdf; qpdf --static-id a.pdf b.pdf 2>/dev/null || echo $?; pdftotext b.pdf -; pdfinfo b.pdf | grep -v -i date; pdftoppm -r 40 b.pdf o; cksum o*; qpdf --check b.pdf || echo $?; qpdf --static-id --linearize b.pdf c.pdf || echo $?; sha256sum c.pdf; pdfimages -list b.pdf`,
    seconds: 240,
  },
  {
    name: "graphviz",
    root: "media",
    package: "graphviz",
    script: `dot -c; dot -Tsvg g.dot >a.svg; dot -Tplain g.dot; neato -Tplain g.dot | head -3; circo -Tdot g.dot | head -20; gc -a g.dot; tred g.dot | head -3`,
    files: {
      "g.dot":
        "digraph g { rankdir=LR; a -> b -> c; a -> c [label=x]; b -> d [style=dashed]; subgraph cluster_0 { d; e } d -> e -> a; }\n",
    },
    seconds: 240,
  },
  {
    name: "ghostscript",
    root: "media",
    package: "ghostscript",
    script: `printf '%%!PS\\n/Helvetica findfont 20 scalefont setfont 20 20 moveto (Hello) show 0 1 10 { dup mul 3 add = } for newpath 50 50 30 0 360 arc 0.5 setgray fill showpage' >a.ps; gs -q -dNOPAUSE -dBATCH -sDEVICE=ppmraw -r30 -sOutputFile=o.ppm a.ps; cksum o.ppm; gs -q -dNODISPLAY -dBATCH -c '3 4 add = 2 sqrt = (abc) length = quit'`,
    seconds: 300,
  },
  {
    name: "rsvg and potrace",
    root: "media",
    package: "librsvg2-bin",
    script: `rsvg-convert s.svg -f png -o a.png; convert-im6.q16 a.png ppm:- | cksum; convert-im6.q16 s.svg pbm:- 2>/dev/null | potrace -s -o - 2>/dev/null | tail -5; rsvg-convert -z 2 -f svg s.svg | wc -l; rm -f a.png`,
    files: {
      "s.svg":
        '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><defs><linearGradient id="g"><stop offset="0" stop-color="red"/><stop offset="1" stop-color="blue"/></linearGradient></defs><rect width="60" height="40" fill="url(#g)"/><circle cx="30" cy="20" r="12" fill="#0a05" stroke="black"/><path d="M5 5 C 20 20, 40 0, 55 35" fill="none" stroke="white"/></svg>',
    },
    seconds: 240,
  },
];
