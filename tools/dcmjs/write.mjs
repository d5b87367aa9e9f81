// Writes the reports and segmentations of documents.json through dcmjs and @cornerstonejs/adapters, as OHIF does.
// Usage: node write.mjs FOLDER. Points in documents.json are array coordinates (0 = centre of the first pixel).
import fs from 'node:fs';
import path from 'node:path';
import dcmjs from 'dcmjs';
import { metaData, Enums } from '@cornerstonejs/core';
import { adaptersSEG, adaptersSR } from '@cornerstonejs/adapters';

const CT = '1.2.840.10008.5.1.4.1.1.2';
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const { images, documents, segmentations } = JSON.parse(fs.readFileSync(path.join(here, 'documents.json'), 'utf8'));
const folder = process.argv[2];
if (!folder) {
  console.error('usage: node write.mjs FOLDER');
  process.exit(2);
}
fs.mkdirSync(folder, { recursive: true });

const slices = new Map(); // imageId (the SOP Instance UID) → what its header says
for (const image of Object.values(images)) {
  image.uids.forEach((uid, index) => {
    slices.set(uid, { ...image, uid, origin: [...image.origin_xy_mm, image.z_mm[index]] });
  });
}

const rowDirection = (slice) => slice.row_direction ?? [0, 1, 0];

function modules(type, imageId) {
  const slice = slices.get(imageId);
  if (!slice) return undefined;
  const instance = {
    SOPClassUID: CT, SOPInstanceUID: slice.uid, SeriesInstanceUID: slice.series, StudyInstanceUID: slice.study,
    PatientID: 'P1', PatientName: 'Test^Writer', StudyDate: '20200131', Modality: 'CT',
    FrameOfReferenceUID: slice.frame_of_reference, Rows: slice.shape[0], Columns: slice.shape[1],
    ImagePositionPatient: slice.origin, ImageOrientationPatient: [1, 0, 0, ...rowDirection(slice)],
    PixelSpacing: slice.spacing_mm, SliceThickness: 5,
  };
  const found = {
    instance,
    [Enums.MetadataModules.STUDY_DATA]: instance,
    [Enums.MetadataModules.SERIES_DATA]: instance,
    [Enums.MetadataModules.IMAGE_DATA]: instance,
    sopCommonModule: { sopClassUID: CT, sopInstanceUID: slice.uid },
    generalSeriesModule: { studyInstanceUID: slice.study, seriesInstanceUID: slice.series },
    frameNumber: 1,
    imagePlaneModule: {
      frameOfReferenceUID: slice.frame_of_reference,
      imagePositionPatient: slice.origin,
      rowCosines: [1, 0, 0], // Cornerstone's name for the direction in which columns follow each other
      columnCosines: rowDirection(slice),
      rowPixelSpacing: slice.spacing_mm[0],
      columnPixelSpacing: slice.spacing_mm[1],
    },
  };
  return found[type];
}
metaData.addProvider(modules, 1000);

const toWorld = (slice, [x, y], offMm = 0) =>
  slice.origin.map((value, axis) =>
    value + (axis === 0 ? x * slice.spacing_mm[1] : 0) + y * slice.spacing_mm[0] * rowDirection(slice)[axis]
    + (axis === 2 ? offMm : 0));

function lengthMm(slice, [ax, ay], [bx, by]) {
  return Math.hypot((bx - ax) * slice.spacing_mm[1], (by - ay) * slice.spacing_mm[0]);
}

const coded = ([CodeValue, CodingSchemeDesignator, CodeMeaning]) => ({ CodeValue, CodingSchemeDesignator, CodeMeaning });

// What the tools keep of one measurement; statistics that no reader of coordinates needs are made up here.
function annotation(measurement, slice) {
  const { tool, points, off_mm: offMm = 0 } = measurement;
  const world = points.map((point) => toWorld(slice, point, offMm));
  const stats = { area: 100, perimeter: 50, mean: 40, max: 90, min: 0, stdDev: 10, radius: 5, angle: 45, unit: 'mm',
    areaUnit: 'mm²', modalityUnit: 'HU', radiusUnit: 'mm', value: 40 };
  if (tool === 'Bidirectional' || tool === 'Length') {
    const [first, second] = [lengthMm(slice, points[0], points[1]), points[2] ? lengthMm(slice, points[2], points[3]) : 0];
    Object.assign(stats, { length: Math.max(first, second), width: Math.min(first, second) });
  }
  return {
    metadata: { toolName: tool, referencedImageId: slice.uid, FrameOfReferenceUID: slice.frame_of_reference },
    data: {
      label: measurement.label ?? '',
      text: measurement.label,
      handles: { points: world, textBox: { hasMoved: false } },
      contour: { polyline: world, closed: measurement.closed === true },
      cachedStats: { [`imageId:${slice.uid}`]: stats },
    },
    finding: measurement.finding && coded(measurement.finding),
    findingSites: measurement.site ? [coded(measurement.site)] : [],
  };
}

// cornerstoneTools 4 keeps pixel coordinates with their origin at the corner of the first pixel.
function legacyTool({ tool, points }, slice) {
  const [start, end, perpendicularStart, perpendicularEnd] = points.map(([x, y]) => ({ x: x + 0.5, y: y + 0.5 }));
  if (tool === 'Length') return { handles: { start, end }, length: lengthMm(slice, points[0], points[1]) };
  return {
    handles: { start, end, perpendicularStart, perpendicularEnd },
    longestDiameter: lengthMm(slice, points[0], points[1]),
    shortestDiameter: lengthMm(slice, points[2], points[3]),
  };
}

function toolState(document, key, make) {
  const state = {};
  for (const measurement of document.measurements) {
    const slice = slices.get(images[document.images].uids[measurement.slice]);
    const tools = (state[key(slice)] ??= {});
    (tools[measurement.tool] ??= { data: [] }).data.push(make(measurement, slice));
  }
  return state;
}

const provider = { get: modules };

function report(document) {
  if (document.writer === 'dcmjs') {
    return dcmjs.adapters.Cornerstone.MeasurementReport.generateReport(toolState(document, (s) => s.uid, legacyTool), provider);
  }
  const { MeasurementReport } = adaptersSR.Cornerstone3D;
  const flat = document.writer === 'adapters';
  const first = images[document.images].uids[0];
  MeasurementReport.getImageIdFromVolume = () => first; // stands for the viewer's cache of volumes
  return MeasurementReport.generateReport(toolState(document, (s) => (flat ? s.uid : 'none'), annotation), provider, {});
}

function segmentation({ type, images: name, segments, boxes }) {
  const { uids, shape: [rows, columns] } = images[name];
  const labelmaps2D = uids.map((uid, slice) => {
    const pixelData = new Uint8Array(rows * columns);
    const here = boxes.filter((box) => box.slice === slice);
    for (const { segment, x, y } of here) {
      for (let row = y[0]; row < y[1]; row += 1) pixelData.fill(segment, row * columns + x[0], row * columns + x[1]);
    }
    return { pixelData, rows, columns, segmentsOnLabelmap: [...new Set(here.map((box) => box.segment))] };
  });
  const described = segments.map((SegmentLabel, index) => ({
    SegmentNumber: index + 1, SegmentLabel, SegmentAlgorithmType: 'MANUAL', RecommendedDisplayCIELabValue: [1, 2, 3],
    SegmentedPropertyCategoryCodeSequence: coded(['49755003', 'SCT', 'Morphologically Altered Structure']),
    SegmentedPropertyTypeCodeSequence: coded(['27925004', 'SCT', 'Nodule']),
  }));
  const sopClassUid = type === 'LABELMAP' ? '1.2.840.10008.5.1.4.1.1.66.7' : '1.2.840.10008.5.1.4.1.1.66.4';
  return adaptersSEG.Cornerstone3D.Segmentation.generateSegmentation(
    uids.map((imageId) => ({ imageId, voxelManager: { getScalarData: () => new Uint16Array(rows * columns) } })),
    { labelmaps2D, metadata: [undefined, ...described] }, provider,
    { sopClassUID: sopClassUid, sopClassUid },
  );
}

for (const document of segmentations) {
  const { dataset } = segmentation(document);
  const file = path.join(folder, document.file);
  fs.writeFileSync(file, Buffer.from(dcmjs.data.datasetToDict(dataset).write()));
  console.log(`${document.file}: ${fs.statSync(file).size} bytes, ${document.segments.length} segments`);
}

for (const document of documents) {
  const { dataset } = report(document);
  Object.assign(dataset, { StudyInstanceUID: images[document.images].study, PatientID: 'P1' });
  const file = path.join(folder, document.file);
  fs.writeFileSync(file, Buffer.from(dcmjs.data.datasetToDict(dataset).write()));
  console.log(`${document.file}: ${fs.statSync(file).size} bytes, ${document.measurements.length} measurements`);
}
