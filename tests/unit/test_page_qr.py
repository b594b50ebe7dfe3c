"""The contact card and its code."""

import xml.etree.ElementTree as ET

from binding_ivr.web.page.qr import svg, vcard


def test_a_card_holds_every_number_and_escapes_the_name() -> None:
    card = vcard("Acme; Sons, Inc.\n\\x", ["+12025550100", "+442079460000"])
    lines = card.split("\r\n")
    assert lines[:2] == ["BEGIN:VCARD", "VERSION:3.0"]
    assert lines[3] == "FN:Acme\\; Sons\\, Inc. \\\\x"
    assert [line for line in lines if line.startswith("TEL")] == [
        "TEL;TYPE=WORK,VOICE:+12025550100",
        "TEL;TYPE=WORK,VOICE:+442079460000",
    ]
    assert lines[-2:] == ["END:VCARD", ""]


def test_a_code_is_a_drawing_without_size_and_script() -> None:
    drawing = ET.fromstring(svg(vcard("电话号码绑定", ["+12025550100"])))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert "width" not in drawing.attrib
    assert "viewBox" in drawing.attrib
    assert {child.tag.rpartition("}")[2] for child in drawing} == {"path"}
