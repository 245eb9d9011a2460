#!/usr/bin/env python3
"""Writes the PDF and the Word documents of examples/notes, byte for byte the same every time.

Usage: tools/make_example_documents.py [FOLDER]     (default: examples/notes)

Only the Python standard library is used: the PDF is text in the built-in font Helvetica, the Word documents are zip
files of hand-written XML. The texts are below; they were written for Lectern.
"""

import pathlib
import sys
import zipfile
from xml.sax.saxutils import escape

# ---- PDF ----

PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 595, 842, 72
# Advance widths of Helvetica for the characters 32 to 126, in thousandths of the font size.
HELVETICA = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556 "
    "1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 "
    "333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
WIDTHS = [int(w) for w in HELVETICA.split()]

HEAT_PUMP_REPORT = [
    ("title", "Heating a small workshop: a summary"),
    ("text", "This summary was written for the members of the Ravensmere repair workshop, who rent 64 square metres "
             "under a flat roof and heated them with an oil stove until last winter. It compares what was measured "
             "before and after the change to an air-source heat pump. The full data lie with the energy adviser."),
    ("heading", "1 What was measured"),
    ("text", "From November to March, a meter counted the electricity of the heat pump and of the fan, every ten minutes. "
             "Two thermometers stood in the room, one beside the lathe and one at the back wall, and a third one hung "
             "outside on the north side. The oil of the winter before was known from the bills: 1,460 litres."),
    ("text", "The room was kept at 17 degrees while somebody worked there, and at 9 degrees otherwise. It is used on "
             "four evenings a week and on Saturdays, so that about 26 hours of every week are warm ones."),
    ("page", ""),
    ("heading", "2 Results"),
    ("text", "Over the whole winter the heat pump took 2,870 kilowatt-hours of electricity and gave 9,180 "
             "kilowatt-hours of heat. That is a seasonal performance factor of 3.2. On the coldest day, 9 January, with "
             "minus 11 degrees in the morning, the factor fell to 2.1, and the room still reached 17 degrees by six in the evening."),
    ("text", "At the prices of that winter the heating cost 832 pounds instead of 1,606 pounds for oil. The installation "
             "cost 7,400 pounds, of which a grant paid 3,000, so that it will have paid for itself in a little less than six years."),
    ("heading", "3 What surprised us"),
    ("text", "The largest loss was not the roof but the gap under the double door, which was as wide as a hand. A brush "
             "strip for 38 pounds saved almost as much energy as the insulation of the water pipes, which had cost ten times that."),
    ("page", ""),
    ("heading", "4 Advice"),
    ("text", "Let the machine run slowly and for long instead of heating in bursts. Clean the filter on the first Monday of "
             "the month. Do not put the paint store into the draught of the fan: the lids rust. And keep the oil stove for "
             "one more winter, drained and labelled, before it is sold."),
    ("text", "A skylight that leaks, as ours does, also lets warm air out. The landlord is obliged to repair it; see the "
             "lease of the workshop."),
]


def text_width(text, size):
    return sum(WIDTHS[ord(c) - 32] for c in text) * size / 1000


def wrap(text, size):
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) > PAGE_WIDTH - 2 * MARGIN:
            yield line
            line = word
        else:
            line = longer
    yield line


def pdf_pages(blocks):
    """Content streams, one a page."""
    pages, y = [[]], PAGE_HEIGHT - MARGIN
    for kind, text in blocks:
        if kind == "page":
            pages.append([])
            y = PAGE_HEIGHT - MARGIN
            continue
        size = {"title": 18, "heading": 14, "text": 11}[kind]
        for line in wrap(text, size):
            quoted = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            y -= size * 1.35
            pages[-1].append(f"BT /F1 {size} Tf {MARGIN} {y:.1f} Td ({quoted}) Tj ET")
        y -= size * 0.9
    return ["\n".join(page) for page in pages]


def write_pdf(path, title, blocks):
    contents = pdf_pages(blocks)
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(contents)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(contents)} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        f"<< /Title ({title}) /Author (Lectern examples) >>",
    ]
    for i, content in enumerate(contents):
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] "
                       f"/Resources << /Font << /F1 3 0 R >> >> /Contents {6 + 2 * i} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode("latin-1")
    path.write_bytes(out)


# ---- Word ----

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEADER = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"

LEASE = [
    ("Title", "Lease of the workshop in Mill Lane"),
    ("text", "between the Mill Lane Property Cooperative (the landlord) and the Ravensmere Repair Workshop (the tenant). "
             "This is the copy of the tenant."),
    ("Heading1", "Premises"),
    ("text", "The landlord lets the ground floor of Mill Lane 8, 64 square metres, with the yard up to the "
             "white line, as a workshop for repairs that do not disturb the neighbours between 22:00 and 7:00."),
    ("table", [["Room", "Area", "Keys"], ["Workshop", "52 square metres", "4"], ["Store", "9 square metres", "2"],
               ["Washroom", "3 square metres", "1"]]),
    ("Heading1", "Term"),
    ("text", "The lease begins on 1 March 2023 and runs for five years. It is renewed by one year at a time unless one side gives "
             "notice. The period of notice is three months to the end of a quarter, in writing."),
    ("Heading1", "Rent"),
    ("text", "The rent is 940 pounds a month, payable on the third working day. It contains the water, not the electricity and "
             "not the heating.", "The rent may be raised once in two years, by no more than the consumer price index."),
    ("text", "The deposit is two months' rent, 1,880 pounds. It is paid back within eight weeks after the keys have been returned."),
    ("Heading1", "Repairs"),
    ("item", "The landlord repairs the roof, the skylight, the outer walls and the pipes in the walls."),
    ("item", "The tenant repairs doors, locks and whatever he has installed himself."),
    ("item", "Damage by water has to be reported within 48 hours."),
    ("Heading1", "Heating"),
    ("text", "The tenant may replace the oil stove by a heat pump at his own cost. At the end of the lease the landlord takes it over at "
             "its value then, which falls by a tenth of the price every year."),
]

TEA_ROOM = [
    ("Title", "云根茶室场地使用协议"),
    ("text", "甲方：云根茶室。乙方：每月茶会。双方就茶会使用场地一事约定如下。"),
    ("Heading1", "一、时间与场地"),
    ("text", "乙方每月第一个星期六下午三点至六点使用二楼的临窗大间，可坐十二人。遇节假日顺延一周，由甲方提前五天通知。"),
    ("Heading1", "二、费用"),
    ("text", "每次场地费二百六十元，包括热水、茶具和炭火，不包括茶叶与点心。乙方自带茶叶，不另收费。",
             "押金五百元，茶具如有破损，按原价从押金中扣除。"),
    ("table", [["项目", "数量", "单价"], ["盖碗", "12只", "45元"], ["公道杯", "3只", "60元"], ["铁壶", "1把", "680元"]]),
    ("Heading1", "三、其他"),
    ("item", "室内不得吸烟，手机请调至静音。"),
    ("item", "任何一方提前一个月通知，即可终止本协议。"),
    ("text", "本协议自二〇二四年三月一日起生效，一式两份。"),
]


def run(text):
    return f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def word_paragraph(text, properties="", more=""):
    return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}{more}</w:p>"


def word_body(blocks):
    """The body, and the footnotes that its paragraphs carry."""
    out, notes = [], []
    for kind, content, *note in blocks:
        if kind == "table":
            rows = ("".join(f"<w:tc><w:tcPr/>{word_paragraph(cell)}</w:tc>" for cell in row) for row in content)
            out.append("<w:tbl><w:tblPr/>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>")
            continue
        properties = {"text": "", "item": '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'}.get(
            kind, f'<w:pStyle w:val="{kind}"/>')
        more = ""
        for text in note:
            notes.append(text)
            more += f'<w:r><w:footnoteReference w:id="{len(notes)}"/></w:r>'
        out.append(word_paragraph(content, properties, more))
    return "".join(out), notes


def write_docx(path, blocks):
    body, notes = word_body(blocks)
    styles = '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>' + "".join(f'<w:style w:type="paragraph" w:styleId="{id}"><w:name w:val="{name}"/></w:style>'
                     for id, name in [("Title", "Title"), ("Heading1", "heading 1")])
    footnotes = "".join(f'<w:footnote w:id="{i}"><w:p>{run(text)}</w:p></w:footnote>' for i, text in enumerate(notes, 1))
    parts = ["document", "styles", "footnotes", "numbering"]
    overrides = "".join(f'<Override PartName="/word/{part}.xml" ContentType="{WORD_TYPE}.'
                        f'{"document.main" if part == "document" else part}+xml"/>' for part in parts)
    relations = "".join(f'<Relationship Id="r{i}" Type="{RELATIONS}/{part}" Target="{part}.xml"/>' for i, part in enumerate(parts[1:], 1))
    numbering = ('<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="-"/></w:lvl></w:abstractNum>'
                 '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>')
    entries = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-'
                               f'package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{RELATIONS}/officeDocument" '
                       'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f"<w:document {WORD}><w:body>{body}<w:sectPr/></w:body></w:document>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>',
        "word/styles.xml": f"<w:styles {WORD}>{styles}</w:styles>",
        "word/footnotes.xml": f"<w:footnotes {WORD}>{footnotes}</w:footnotes>",
        "word/numbering.xml": f"<w:numbering {WORD}>{numbering}</w:numbering>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), HEADER + content)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "examples/notes")
    write_pdf(folder / "workshop/heating-summary.pdf", "Heating a small workshop: a summary", HEAT_PUMP_REPORT)
    write_docx(folder / "workshop/lease.docx", LEASE)
    write_docx(folder / "茶/茶室协议.docx", TEA_ROOM)


if __name__ == "__main__":
    main()
