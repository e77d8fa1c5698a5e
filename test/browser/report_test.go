package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/loam-storage/loam/bench"
)

// reports are real ones: of one place, and of the layers of a pool.
var reports = []string{"report", "layers"}

// page writes the page of a report of bench/testdata.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "bench", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := bench.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := bench.EncodeHTML(&b, r); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".html")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPagesNeedNothingAndFit(t *testing.T) {
	c := start(t)
	for _, name := range reports {
		path := page(t, name)
		for _, scheme := range []string{"light", "dark"} {
			for _, v := range []view{{scheme, 1200, 900, false}, {scheme, 390, 844, true}, {scheme, 320, 640, true}} {
				c.t = t
				c.open(path, v)
				for _, complaint := range c.complaints(path) {
					t.Errorf("%s, %+v: %s", name, v, complaint)
				}
				var width int
				if c.evaluate("document.documentElement.scrollWidth", &width); width > v.width {
					t.Errorf("%s, %+v: the page is %d pixels wide", name, v, width)
				}
			}
		}
	}
}

// TestPictures saves those that the documentation shows in the folder that LOAM_PICTURES names: `make pictures`.
func TestPictures(t *testing.T) {
	folder := os.Getenv("LOAM_PICTURES")
	if folder == "" {
		t.Skip("LOAM_PICTURES says where to, which `make pictures` sets")
	}
	c := start(t)
	save := func(name, path string, v view) {
		c.open(path, v)
		text := small(t, c.picture(v.width, v.height))
		if len(text) > 250<<10 {
			t.Errorf("%s has %d KiB, and is for a repository: at most 250", name, len(text)>>10)
		}
		if err := os.WriteFile(filepath.Join(folder, name+".png"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save("bench-light", page(t, "layers"), view{"light", 1200, 1700, false})
	save("bench-dark", page(t, "layers"), view{"dark", 1200, 1700, false})
	save("bench-phone", page(t, "report"), view{"light", 390, 1400, true})
	b, a := readBoard(t)
	for name, rows := range shown {
		path, height := b.draw(t, a, rows...)
		save(name, path, view{"light", boardWidth, height, false})
	}
}

// small is a picture with the 256 colours that it has most of: a page has few, and the edges of letters many.
func small(t *testing.T, text []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	count := map[color.RGBA]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range most[:min(len(most), 256)] {
		palette = append(palette, c)
	}
	few := image.NewPaletted(bounds, palette)
	draw.Draw(few, bounds, full, bounds.Min, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, few); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
