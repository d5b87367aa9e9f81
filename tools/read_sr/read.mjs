// What OHIF's libraries make of an SR document: node read.mjs FILE.dcm → JSON on standard output.
//
// dcmjs parses the file; @cornerstonejs/adapters turns its measurement groups into annotations, as OHIF does
// when a report is loaded. Images are not needed: each is given a plane with 1 mm pixels at the origin, so
// that world coordinates are image coordinates.
// Install once, in this folder: npm install --ignore-scripts

import fs from "node:fs";
import dcmjs from "dcmjs";

const printed = process.stdout;
console.log = console.info = (...words) => console.error(...words); // the libraries print on their way

const { adaptersSR } = await import("@cornerstonejs/adapters");
const { metaData } = await import("@cornerstonejs/core");

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;
const bytes = fs.readFileSync(process.argv[2]);
const file = DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const dataset = DicomMetaDictionary.naturalizeDataset(file.dict);

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
const meaning = (item) => list(item.ConceptNameCodeSequence)[0]?.CodeMeaning;
const find = (item, name) => list(item.ContentSequence).find((child) => meaning(child) === name);

function* images(item) {
  for (const reference of item.ValueType === "IMAGE" ? list(item.ReferencedSOPSequence) : []) {
    yield reference.ReferencedSOPInstanceUID;
  }
  for (const child of list(item.ContentSequence)) yield* images(child);
}

const plane = {
  frameOfReferenceUID: "1.2.3",
  imagePositionPatient: [0, 0, 0],
  imageOrientationPatient: [1, 0, 0, 0, 1, 0],
  rowCosines: [1, 0, 0],
  columnCosines: [0, 1, 0],
  rowPixelSpacing: 1,
  columnPixelSpacing: 1,
  rows: 512,
  columns: 512,
};
const provider = { get: (kind) => (kind === "imagePlaneModule" ? plane : undefined) };
metaData.addProvider(provider.get, 1000);
const imageIds = Object.fromEntries([...images(dataset)].map((uid) => [`${uid}:1`, `image:${uid}`]));

const measurements = find(dataset, "Imaging Measurements");
const groups = list(measurements?.ContentSequence).filter((item) => meaning(item) === "Measurement Group");
const annotations = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(
  dataset,
  imageIds,
  provider,
);

const report = {
  template: list(dataset.ContentTemplateSequence)[0]?.TemplateIdentifier,
  title: meaning(dataset),
  groups: groups.map((group) => ({
    tracking: find(group, "Tracking Identifier")?.TextValue,
    trackingUid: find(group, "Tracking Unique Identifier")?.UID,
    site: list(find(group, "Finding Site")?.ConceptCodeSequence)[0]?.CodeMeaning,
    numbers: Object.fromEntries(
      list(group.ContentSequence)
        .filter((item) => item.ValueType === "NUM")
        .map((item) => [meaning(item), Number(list(item.MeasuredValueSequence)[0].NumericValue)]),
    ),
  })),
  annotations: Object.fromEntries(
    Object.entries(annotations).map(([tool, found]) => [
      tool,
      found.map((one) => ({
        trackingUid: one.TrackingUniqueIdentifier,
        image: one.sopInstanceUid,
        points: one.annotation.data.handles.points.map((point) => [...point]),
        label: one.annotation.data.label,
        finding: one.finding?.CodeMeaning,
        sites: one.findingSites.map((site) => site.CodeMeaning),
        stats: Object.values(one.annotation.data.cachedStats)[0],
      })),
    ]),
  ),
};
printed.write(JSON.stringify(report, null, 1) + "\n");
